"""The end of a job: the summary, from what its slices did, and the word to whoever waits."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from contacts.models import SendingList
from core import codec, sql
from ingestion import logs
from ingestion.jobs import waiting
from ingestion.jobs.process import Report, give_up
from ingestion.models import BulkJob, BulkSlice, JobStatus, SliceStatus
from ingestion.pipeline.screening import RUN_AGAIN
from journeys.enroll import greetings

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

_COUNTS = ("success_count", "error_count", "contacts_created", "list_contacts_created", "journeys_enrolled")


def settle(job_id: UUID) -> int | None:
    """End the job if all its slices have ended; its account's id if that ended it, else None.

    A single conditional step that may run any number of times, at once, and too early.
    """
    with transaction.atomic():
        return settle_within(job_id)


def settle_within(job_id: UUID) -> int | None:
    """`settle`, as a part of the caller's transaction; who waits is woken after its commit."""
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
    """End the slices of a cancelled job that nobody is just committing.

    Those that somebody is are skipped, not waited for: he holds the slice and wants the job, which we hold.
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


def summarize(slices: Sequence[Report]) -> dict[str, Any]:
    """The answer's body (contract, "The answer")."""
    errors = [entry for part in slices for entry in codec.loads(part.errors.encode())]
    summary: dict[str, Any] = {name: sum(getattr(part, name) for part in slices) for name in _COUNTS}
    counts = {name: summary.pop(name) for name in _COUNTS[2:]}
    summary["errors"] = sorted(errors, key=lambda entry: entry["index"])
    summary.update(counts)
    if warnings := _warnings(slices):
        summary["warnings"] = warnings
    return summary


def _warnings(slices: Iterable[Report]) -> list[str]:
    """One per list whose journeys nobody asked for, one per list with members who had opted out."""
    asked: dict[int, bool] = defaultdict(bool)
    opted_out: dict[int, int] = defaultdict(int)
    for part in slices:
        for key, (used_journeys, count) in part.lists.items():
            asked[int(key)] |= used_journeys
            opted_out[int(key)] += count
    journeys = greetings(list_id for list_id, used in asked.items() if not used)
    about = journeys.keys() | {list_id for list_id, count in opted_out.items() if count}
    if not about:
        return []
    lists = SendingList.objects.filter(pk__in=about).order_by("phone_number")
    warnings = []
    for list_id, phone_number in lists.values_list("pk", "phone_number"):
        if names := ", ".join(f'"{journey.name}"' for journey in journeys.get(list_id, ())):
            warnings.append(
                f"List {phone_number} has active Welcome Journeys ({names}), "
                "but no contact of this batch set use_journeys."
            )
        if count := opted_out.get(list_id, 0):
            who = "1 contact was" if count == 1 else f"{count} contacts were"
            stay = "stays" if count == 1 else "stay"
            warnings.append(f"List {phone_number}: {who} unsubscribed before and {stay} unsubscribed.")
    return warnings
