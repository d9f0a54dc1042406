"""Whose turn it is: an account's jobs go to the workers a few at a time, in order.

So a thousand batches of one account are no queue before another's single contact: each account has at most
TRACKLY_JOBS_IN_FLIGHT jobs among the workers, and the end of one sends its account's next (rule 5). Where
that is lost, the sweep finds who waits although there is room.
"""

from uuid import UUID

from django.conf import settings
from django.db import transaction

from trackly import sql

IN_FLIGHT = """
SELECT count(*) FROM bulk_bulkjob
WHERE account_id = %(account)s AND completed_at IS NULL AND sent_at IS NOT NULL
"""

_TAKE = f"""
WITH next AS (
    SELECT id FROM bulk_bulkjob
    WHERE account_id = %(account)s AND completed_at IS NULL AND sent_at IS NULL
    ORDER BY created_at LIMIT greatest(0, %(limit)s - ({IN_FLIGHT}))
    FOR UPDATE SKIP LOCKED
), job AS (
    UPDATE bulk_bulkjob SET sent_at = now() WHERE id IN (SELECT id FROM next) RETURNING id
)
UPDATE bulk_bulkslice SET sent_at = now()
WHERE job_id IN (SELECT id FROM job) AND status = 'pending'
RETURNING job_id, id
"""  # noqa: S608 - put together from constants

_HELD_UP = """
SELECT DISTINCT account_id FROM bulk_bulkjob WHERE completed_at IS NULL AND sent_at IS NULL
"""


def take(account_id: int) -> dict[UUID, list[int]]:
    """The account's next jobs, as many as there is room for: their slices' ids, marked as sent now.

    Whoever accepts a job that has to wait, and whoever ends one, calls it after the commit: one of both sees
    what the other did.
    """
    found: dict[UUID, list[int]] = {}
    with transaction.atomic():
        where = {"account": account_id, "limit": settings.TRACKLY_JOBS_IN_FLIGHT}
        for row in sql.rows(_TAKE, where):
            found.setdefault(row["job_id"], []).append(row["id"])
    return found


def waiting() -> list[int]:
    """Accounts with jobs whose turn has not come."""
    with transaction.atomic():
        return [row["account_id"] for row in sql.rows(_HELD_UP, {})]
