"""The lease of a pending slice: claimed by one process, renewed, committed, finished."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, transaction

from core import codec, sql
from ingestion import logs
from ingestion.batch import Item, unpack
from ingestion.models import SliceStatus
from ingestion.pipeline.report import Report

T = TypeVar("T")

# One statement claims the slice and reads what is needed. Until its lease expires a slice stays with the
# lease holder: the sweep may have sent it twice. An expired lease counts as a failed attempt; so does one
# that this very task holds, since its worker died and the message was delivered again.
# A claim may be lost in a crash of the server without harm, so its commit does not wait for the disk.
_CLAIM = """
UPDATE bulk_bulkslice AS slice
SET claimed_at = now(), claimed_by = %(by)s,
    attempts = slice.attempts + (slice.claimed_at IS NOT NULL)::int
FROM bulk_bulkjob AS job JOIN accounts_account AS account ON account.id = job.account_id,
    set_config('synchronous_commit', COALESCE(%(commit)s, current_setting('synchronous_commit')), true)
WHERE slice.id = %(id)s AND slice.status = 'pending' AND job.id = slice.job_id
    AND (%(anyway)s OR (
        job.cancel_requested_at IS NULL
        AND (slice.claimed_at IS NULL OR slice.claimed_at < now() - make_interval(secs => %(lease)s)
            OR (slice.claimed_by = %(by)s AND %(by)s <> ''))
    ))
RETURNING slice.job_id, slice.claimed_at AS started, slice.lane, slice.payload, slice.attempts,
          slice.error_count AS counted_errors,
          job.created_at AS accepted_at, job.account_id, job.request_id, account.rejects_voip
"""


# The network takes long: the lease is renewed.
_KEEP = """
UPDATE bulk_bulkslice SET claimed_at = now() WHERE id = %(id)s AND status = 'pending'
"""


# Other slices may want the same contacts: this one waits for their locks for a moment only, and where its
# process stops between two statements the server ends the transaction. Set here, not for the session, so
# that it holds behind PgBouncer too.
_IS_PENDING = """
SELECT id, set_config('lock_timeout', '3s', true),
    set_config('idle_in_transaction_session_timeout', '10s', true)
FROM bulk_bulkslice WHERE id = %(id)s AND status = 'pending' FOR NO KEY UPDATE
"""


# What it waited for is no fault of the slice's: it is free again, and nothing is counted.
RELEASE = """
UPDATE bulk_bulkslice SET claimed_at = NULL, claimed_by = '' WHERE id = %(id)s AND status = 'pending'
"""


FAILED = """
UPDATE bulk_bulkslice SET claimed_at = NULL, attempts = attempts + 1 WHERE id = %(id)s AND status = 'pending'
"""


# A slice that runs again after a retry has been counted as errors; only the difference moves the job.
_FINISH = """
WITH slice AS (
    UPDATE bulk_bulkslice AS slice SET status = %(status)s, finished_at = now(), size = %(size)s,
        success_count = %(success_count)s, error_count = %(error_count)s,
        contacts_created = %(contacts_created)s, list_contacts_created = %(list_contacts_created)s,
        journeys_enrolled = %(journeys_enrolled)s,
        results = %(results)s, errors = %(errors)s, lists = %(lists)s::jsonb
    FROM (SELECT id, error_count FROM bulk_bulkslice WHERE id = %(id)s) AS before
    WHERE slice.id = before.id
    RETURNING slice.job_id, before.error_count AS errors_before
)
UPDATE bulk_bulkjob AS job
SET status = CASE job.status WHEN 'queued' THEN 'processing' ELSE job.status END,
    turn_over = job.turn_over OR NOT EXISTS (
        SELECT FROM bulk_bulkslice AS other
        WHERE other.job_id = job.id AND other.status = 'pending' AND other.lane = 'ingest'
            AND other.id <> %(id)s
    ),
    started_at = COALESCE(job.started_at, %(started)s),
    processed = job.processed + %(size)s + %(counted_later)s - errors_before,
    success_count = job.success_count + %(success_count)s,
    error_count = job.error_count + %(error_count)s + %(counted_later)s - errors_before
FROM slice WHERE job.id = slice.job_id
RETURNING job.processed = job.total OR job.cancel_requested_at IS NOT NULL AS may_end
"""


@dataclass(frozen=True)
class Claim:
    """A pending slice that this process is at."""

    id: int
    job_id: Any
    lane: str
    items: list[Item]
    attempts: int
    counted_errors: int
    """Not zero: the slice is run again after a retry, and its contacts count as errors until it ends."""
    accepted_at: datetime
    account_id: int
    request_id: str
    """Of the request that the job came with."""
    rejects_voip: bool
    started: datetime
    watch: logs.Stopwatch = field(default_factory=logs.Stopwatch)


def claim(slice_id: int, *, by: str = "", anyway: bool = False) -> Claim | None:
    """Claim the slice; None if it has ended, shall not run, or another worker holds its lease.

    `by`: the task's id; `anyway`: also if its job is being cancelled, and in spite of another worker's lease.
    """
    lease, commit = settings.TRACKLY_SLICE_LEASE, None if connection.in_atomic_block else "off"
    taken = sql.rows(_CLAIM, {"id": slice_id, "anyway": anyway, "lease": lease, "by": by, "commit": commit})
    if not taken:
        return None
    row = taken[0]
    payload = row.pop("payload")
    return Claim(id=slice_id, items=unpack(payload), **row)


def keep(slice_id: int) -> None:
    """Renew the lease of a slice: its look-ups take time."""
    sql.retry_on_conflict(lambda: sql.rows(_KEEP, {"id": slice_id}))


def commit(taken: Claim, effect: Callable[[], T]) -> T | None:
    """Run `effect` in a transaction and return what it returns; None if the slice has ended meanwhile."""

    def once() -> T | None:
        sql.prefer_indexes()
        return effect() if sql.rows(_IS_PENDING, {"id": taken.id}) else None

    return sql.retry_on_conflict(once)


def finish(taken: Claim, done: Report, status: SliceStatus, *, later: int = 0) -> bool:
    """Mark the slice as ended, with what it did, and move the job's counters.

    Returns whether every contact of the job has been processed, or none shall be any more: then it may be
    possible to finalize the job.
    """
    [job] = sql.rows(
        _FINISH,
        {
            **vars(done),
            "lists": codec.encode(done.lists).decode(),
            "id": taken.id,
            "status": status,
            "started": taken.started,
            "counted_later": later if taken.counted_errors else 0,
        },
    )
    transaction.on_commit(
        partial(
            logs.slice_done,
            taken.watch,
            job=str(taken.job_id),
            slice=taken.id,
            lane=taken.lane,
            status=status,
            size=done.size,
            success=done.success_count,
            error=done.error_count,
            put_off=later,
            attempts=taken.attempts,
            request_id=taken.request_id,
        )
    )
    return bool(job["may_end"])
