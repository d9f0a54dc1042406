"""The trial: a journey on a test contact, with a clock that runs ahead. Nothing is sent or written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from journeys import clock
from journeys.builder.drafts import TITLES
from journeys.conditions import Person
from journeys.engine.run import EnrollmentContext, describe, step_until_blocked
from journeys.models import EnrollmentStatus
from journeys.steps import Message, Plan, kind_of
from journeys.text import segments

MOST_LINES = 500
"""A loop may take a hundred steps an hour, for a month."""


@dataclass(frozen=True)
class Line:
    """Something that happens to the test contact."""

    at: datetime
    """In the contact's time zone."""
    step: str
    """Its number; empty: the end."""
    text: str

    @property
    def when(self) -> str:
        """For people; Django's filters would show it in UTC."""
        return f"{self.at:%a %-d %b %Y, %H:%M}"


def run(plan: Plan, person: Person, known: Mapping[str, str], where: ZoneInfo, start: datetime) -> list[Line]:
    """What would happen to a contact that is enrolled at `start`, if every message is sent.

    After MOST_LINES lines it stops, and says so.
    """
    lines: list[Line] = []
    for line in _lines(plan, person, known, where, start):
        if len(lines) == MOST_LINES:
            return [*lines, Line(line.at, "", f"The trial stops after {MOST_LINES} lines.")]
        lines.append(line)
    return lines


def _lines(
    plan: Plan, person: Person, known: Mapping[str, str], where: ZoneInfo, start: datetime
) -> Iterator[Line]:
    traveller = EnrollmentContext("", start, where, person, known)
    now = start
    while True:  # at the latest the journey expires
        try:
            progress = step_until_blocked(plan, traveller, now, clock.quiet_hours())
        except OverflowError:
            yield Line(now, "", "The trial stops at the end of the calendar.")
            return
        local = now.astimezone(where)
        texts = dict(progress.messages)
        for place, (step_id, note) in enumerate(progress.visits):
            step = plan.by_id[step_id]
            text = f"{TITLES[kind_of(step)]}: {note or describe(step)}".removesuffix(": ")
            if place in texts:
                text = f"“{texts[place]}” ({segments(texts[place])})"
                person.happened.add(("sent", step_id))
            yield Line(local, str(plan.number(step_id)), text)
        if progress.status is not EnrollmentStatus.ACTIVE or progress.due_at is None:
            yield Line(local, "", f"The journey ends: {progress.status.label.lower()}.")
            return
        step = plan.by_id[progress.step]
        if isinstance(step, Message):
            until = progress.due_at.astimezone(where)
            yield Line(local, str(plan.number(step.id)), f"held until {until:%H:%M}: quiet hours")
        person = traveller.person
        traveller = EnrollmentContext(progress.step, start, where, person, known)
        now = progress.due_at
