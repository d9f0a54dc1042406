"""Which enrollments go on now, and who takes them: claimed in sets, each by one worker."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from trackly import sql

MOST_IN_FLIGHT = 10_000
"""Enrollments that are claimed at once: longer queues are of no use, and nobody sees into them."""
MOST_ATTEMPTS = 5
"""Claims of an enrollment that never went on, before it is given up."""

# What is due and nobody's. A message step may be due for many at the same second; SKIP LOCKED lets any number
# of claimants pass each other.
_CLAIM = """
UPDATE journeys_enrollment AS enrollment SET claimed_at = %(now)s, attempts = enrollment.attempts + 1
FROM (
    SELECT id FROM journeys_enrollment
    WHERE status = 'active' AND claimed_at IS NULL AND due_at <= %(now)s
    ORDER BY due_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
) AS due
WHERE enrollment.id = due.id
RETURNING enrollment.id
"""

# What was claimed long ago: its worker is dead, or its message was lost.
_RECLAIM = """
UPDATE journeys_enrollment AS enrollment SET claimed_at = %(now)s, attempts = enrollment.attempts + 1
FROM (
    SELECT id FROM journeys_enrollment
    WHERE status = 'active' AND claimed_at < %(before)s
    ORDER BY claimed_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
) AS stale
WHERE enrollment.id = stale.id
RETURNING enrollment.id
"""

_IN_FLIGHT = (
    "SELECT count(*) AS claimed FROM journeys_enrollment WHERE status = 'active' AND claimed_at IS NOT NULL"
)


def claim(now: datetime, *, most: int = MOST_IN_FLIGHT) -> list[list[int]]:
    """Claim what is due; the ids, in sets of TRACKLY_ADVANCE_SIZE for one task each.

    What was claimed before and never went on comes first and each alone: it may be what killed its worker.
    """
    is_all = not connection.in_atomic_block
    before = now - timedelta(seconds=settings.TRACKLY_ADVANCE_LEASE)
    with transaction.atomic():
        if is_all:  # a claim that a crash of the server forgets is simply made again
            sql.rows("SET LOCAL synchronous_commit = off", {})
        again = _ids(_RECLAIM, {"now": now, "before": before, "most": most})
        [counted] = sql.rows(_IN_FLIGHT, {})
        room = max(0, min(most, MOST_IN_FLIGHT - counted["claimed"]))
        due = _ids(_CLAIM, {"now": now, "most": room}) if room else []
    size = settings.TRACKLY_ADVANCE_SIZE
    return [[one] for one in again] + [due[start : start + size] for start in range(0, len(due), size)]


def _ids(statement: str, parameters: dict[str, object]) -> list[int]:
    return [row["id"] for row in sql.rows(statement, parameters)]


def unclaim(ids: Sequence[int]) -> None:
    """Give claims back whose tasks could not be sent."""
    sql.in_transaction(
        lambda: sql.rows(
            "UPDATE journeys_enrollment SET claimed_at = NULL, attempts = attempts - 1"
            " WHERE id = ANY(%(ids)s) AND status = 'active' AND claimed_at IS NOT NULL AND attempts > 0",
            {"ids": list(ids)},
        )
    )
