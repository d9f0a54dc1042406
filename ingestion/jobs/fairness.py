"""Fairness between accounts: an account's jobs go to the workers a few at a time, in order.

So a thousand batches of one account don't delay another's single contact: each account has
TRACKLY_JOBS_IN_FLIGHT jobs among the workers, and the end of one sends its account's next. Requests
that arrive at the same moment may each take the last slot. A slot is released with the last slice that needs
no network: the look-ups have a queue of their own. Where the next job is not sent, the sweep finds it.
"""

from uuid import UUID

from django.conf import settings
from django.db import transaction

from core import sql
from ingestion.models import Lane

IN_FLIGHT = """
SELECT count(*) FROM bulk_bulkjob
WHERE account_id = %(account)s AND completed_at IS NULL AND sent_at IS NOT NULL AND NOT turn_over
"""

# One at a time for each account, and the count comes after the lock: no two give away the same room.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('turns', %(account)s))"

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
RETURNING job_id, lane, id
"""

_HAS_NEXT = """
SELECT 1 AS found FROM bulk_bulkjob
WHERE account_id = %(account)s AND completed_at IS NULL AND sent_at IS NULL LIMIT 1
"""

_HELD_UP = """
SELECT DISTINCT account_id FROM bulk_bulkjob WHERE completed_at IS NULL AND sent_at IS NULL
"""


def take(account_id: int) -> dict[tuple[UUID, Lane], list[int]]:
    """The account's next jobs, as many as there is room for: their slices' ids, marked as sent now.

    Called after the commit, both by the process that accepts a job that has to wait and by the one that ends
    a job: at least one of them sees what the other committed.
    """
    found: dict[tuple[UUID, Lane], list[int]] = {}
    where = {"account": account_id, "limit": settings.TRACKLY_JOBS_IN_FLIGHT}
    if not sql.rows(_HAS_NEXT, where):
        return found
    with transaction.atomic():
        sql.rows(_ALONE, where)
        for row in sql.rows(_TAKE, where):
            found.setdefault((row["job_id"], Lane(row["lane"])), []).append(row["id"])
    return found


def waiting() -> list[int]:
    """Accounts with jobs that are queued behind their in-flight limit."""
    return [row["account_id"] for row in sql.rows(_HELD_UP, {})]
