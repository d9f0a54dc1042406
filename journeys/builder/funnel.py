"""The funnel: how many came to each step, and how many stand there now."""

from dataclasses import dataclass

from core import sql
from journeys.models import Journey, JourneyVersion

_REACHED = """
SELECT step, count(DISTINCT enrollment_id) AS reached FROM journeys_visit WHERE version_id = %(version)s
GROUP BY step
"""
_HERE = """
SELECT step, count(*) AS here FROM journeys_enrollment
WHERE journey_id = %(journey)s AND version_id = %(version)s AND status = 'active' GROUP BY step
"""
_STATUSES = """
SELECT status, count(*) AS enrollments FROM journeys_enrollment
WHERE journey_id = %(journey)s AND version_id = %(version)s GROUP BY status
"""


@dataclass(frozen=True)
class Stage:
    """A step's place in the funnel."""

    reached: int
    """Enrollments that took the step; one that waits for its quiet hours to end has not."""
    here: int
    """Enrollments that stand there now."""
    share: float
    """The part of all enrollments that came there, 0 to 1."""

    def __str__(self) -> str:
        return f"{self.reached:,} ({self.share:.0%})" + (f" · {self.here:,} here" if self.here else "")


@dataclass(frozen=True)
class Funnel:
    enrolled: int
    statuses: dict[str, int]
    stages: dict[str, Stage]
    """By step id; every step of the version has one."""


def funnel(journey: Journey, version: JourneyVersion) -> Funnel:
    """Of the enrollments that began with this version. Three queries."""
    which = {"journey": journey.pk, "version": version.pk}
    statuses = {row["status"]: row["enrollments"] for row in sql.rows(_STATUSES, which)}
    reached = {row["step"]: row["reached"] for row in sql.rows(_REACHED, which)}
    here = {row["step"]: row["here"] for row in sql.rows(_HERE, which)}
    enrolled = sum(statuses.values())
    stages = {
        step.id: Stage(
            came := reached.get(step.id, 0), here.get(step.id, 0), came / enrolled if enrolled else 0.0
        )
        for step in version.plan.steps
    }
    return Funnel(enrolled, statuses, stages)
