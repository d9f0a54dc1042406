"""Claims the enrollments that are due, in sets, each for one worker."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings

from core import sql

logger = structlog.get_logger(__name__)

MOST_IN_FLIGHT = 10_000
"""Enrollments that are claimed at once: longer queues are of no use, and can't be inspected."""
MOST_ATTEMPTS = 8
"""Times that a worker began to let an enrollment go on and it did not, before it is given up."""

# What is due and not claimed. A message step may be due for many at the same second; SKIP LOCKED lets any
# number of workers claim at once.
_CLAIM = """
UPDATE journeys_enrollment AS enrollment SET claimed_at = %(now)s
FROM (
    SELECT id FROM journeys_enrollment
    WHERE status = 'active' AND claimed_at IS NULL AND due_at <= %(now)s
    ORDER BY due_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
) AS due
WHERE enrollment.id = due.id
RETURNING enrollment.id, enrollment.attempts
"""

# What was claimed long ago: its worker is dead, or its message was lost.
_RECLAIM = """
UPDATE journeys_enrollment AS enrollment SET claimed_at = %(now)s
FROM (
    SELECT id FROM journeys_enrollment
    WHERE status = 'active' AND claimed_at < %(before)s
    ORDER BY claimed_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
) AS stale
WHERE enrollment.id = stale.id
RETURNING enrollment.id, enrollment.attempts
"""

_IN_FLIGHT = (
    "SELECT count(*) AS claimed FROM journeys_enrollment WHERE status = 'active' AND claimed_at IS NOT NULL"
)


def claim(now: datetime, *, most: int = MOST_IN_FLIGHT) -> list[list[int]]:
    """Claim what is due; the ids, in sets of TRACKLY_ADVANCE_SIZE for one task each.

    What a worker began and never finished comes first, in sets that grow smaller with each attempt, until
    an enrollment that kills its worker is alone in its set.
    """
    before = now - timedelta(seconds=settings.TRACKLY_ADVANCE_LEASE)
    with sql.async_commit():
        again = sql.rows(_RECLAIM, {"now": now, "before": before, "most": most})
        if again:
            logger.warning("claimed_again", enrollments=len(again))
        [counted] = sql.rows(_IN_FLIGHT, {})
        room = max(0, min(most, MOST_IN_FLIGHT - counted["claimed"]))
        due = sql.rows(_CLAIM, {"now": now, "most": room}) if room else []
    by_attempts: dict[int, list[int]] = defaultdict(list)
    for row in [*again, *due]:
        by_attempts[row["attempts"]].append(row["id"])
    return [
        ids[start : start + size]
        for attempts, ids in sorted(by_attempts.items(), reverse=True)
        for size in [max(1, settings.TRACKLY_ADVANCE_SIZE // 4**attempts)]
        for start in range(0, len(ids), size)
    ]


def unclaim(ids: Sequence[int]) -> None:
    """Give claims back whose tasks could not be sent."""
    sql.retry_on_conflict(
        lambda: sql.rows(
            "UPDATE journeys_enrollment SET claimed_at = NULL"
            " WHERE id = ANY(%(ids)s) AND status = 'active' AND claimed_at IS NOT NULL",
            {"ids": list(ids)},
        )
    )
