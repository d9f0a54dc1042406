"""The end of a job: the summary, from what its slices did, and the announcement to waiting requests."""

from functools import partial
from uuid import UUID

from django.db import transaction

from core import codec, sql
from ingestion import logs
from ingestion.jobs import waiting
from ingestion.jobs.abandon import give_up
from ingestion.models import BulkJob, BulkSlice, JobStatus, SliceStatus
from ingestion.pipeline.report import Report, summarize
from ingestion.pipeline.screening import RUN_AGAIN

_LOCK = """
SELECT id, account_id, kind, total, request_id, created_at, started_at,
       cancel_requested_at IS NOT NULL AS is_cancelled, completed_at IS NOT NULL AS has_ended
FROM bulk_bulkjob WHERE id = %(id)s FOR NO KEY UPDATE
"""

_SLICES = """
SELECT status, size, success_count, error_count, contacts_created, list_contacts_created, journeys_enrolled,
       errors, lists::text
FROM bulk_bulkslice WHERE job_id = %(id)s
"""

_END = """
UPDATE bulk_bulkjob SET status = %(status)s, summary = %(summary)s, completed_at = clock_timestamp()
WHERE id = %(id)s RETURNING completed_at
"""


def finalize(job_id: UUID) -> int | None:
    """End the job if all its slices have ended; its account's id if that ended it, else None.

    A single conditional step that may run any number of times, at once, and too early.
    """
    with transaction.atomic():
        return finalize_within(job_id)


def finalize_within(job_id: UUID) -> int | None:
    """`finalize`, as a part of the caller's transaction; waiting requests are woken after its commit."""
    job = next(iter(sql.rows(_LOCK, {"id": job_id})), None)
    if job is None or job["has_ended"]:
        return None
    if job["is_cancelled"]:
        _cancel_pending(job_id)
    rows = sql.rows(_SLICES, {"id": job_id})
    statuses = {row.pop("status") for row in rows}
    if SliceStatus.PENDING in statuses:
        return None
    slices = [Report(**{**row, "lists": codec.loads(row["lists"].encode())}, results="") for row in rows]
    summary, status = summarize(slices), JobStatus.COMPLETED
    if job["is_cancelled"] and (left := _never_processed(job_id)):
        summary["cancelled_count"], status = left, JobStatus.CANCELLED
    elif SliceStatus.FAILED in statuses:
        status = JobStatus.FAILED
    [ended] = sql.rows(_END, {"id": job_id, "status": status, "summary": codec.dumps(summary)})
    transaction.on_commit(partial(waiting.announce, job_id))
    transaction.on_commit(
        partial(
            logs.job_ended, job, summary, status=status, slice_count=len(slices), now=ended["completed_at"]
        )
    )
    return int(job["account_id"])


def _never_processed(job_id: UUID) -> int:
    job = BulkJob.objects.get(pk=job_id)
    return job.total - job.processed


def _cancel_pending(job_id: UUID) -> None:
    """End the slices of a cancelled job, except those that a worker is just committing.

    Those are skipped, not waited for: its worker has locked the slice and waits for the job, which we hold.
    """
    pending = BulkSlice.objects.filter(job_id=job_id, status=SliceStatus.PENDING)
    locked = list(pending.select_for_update(skip_locked=True).values_list("pk", "error_count", "errors"))
    now = sql.now()
    ended_before: dict[SliceStatus, list[int]] = {SliceStatus.DONE: [], SliceStatus.FAILED: []}
    for slice_id, counted_errors, errors in locked:
        if counted_errors:  # of a retry: its contacts count as errors already, and stay that
            if errors == "[]":  # made by the retry itself
                give_up(slice_id)
            else:
                ended_before[_status_before(errors)].append(slice_id)
    for status, slice_ids in ended_before.items():
        pending.filter(pk__in=slice_ids).update(status=status, finished_at=now)
    of_them = pending.filter(pk__in=[slice_id for slice_id, *_ in locked])
    of_them.update(status=SliceStatus.CANCELLED, finished_at=now)


def _status_before(errors: str) -> SliceStatus:
    """How a slice with these errors had ended before it was retried: in one that failed nothing was asked."""
    codes = {entry["code"] for entry in codec.loads(errors.encode())}
    return SliceStatus.DONE if codes & RUN_AGAIN else SliceStatus.FAILED
