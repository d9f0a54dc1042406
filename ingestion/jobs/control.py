"""What a customer can do with a job: stop it, and run again what failed."""

from functools import reduce
from operator import or_
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing.gate import require_billable
from core import codec
from core.http.errors import ApiError
from ingestion.batch import look_over, new_slice, unpack
from ingestion.jobs.finalize import finalize
from ingestion.models import BulkJob, BulkSlice, JobStatus, Lane, SliceStatus
from ingestion.pipeline.screening import RUN_AGAIN


def retry(job_id: UUID) -> None:
    """Make what failed pending again; it queues behind the account's in-flight limit, as a new job does.

    That is the failed slices, and of the others the contacts that failed as `provider_error`, or because
    nothing could be charged to the account any more (ingestion.pipeline.screening.RUN_AGAIN), alone. The job
    runs again; its progress does not fall: until they end, the contacts count as the errors they are. Raises
    409 `not_retryable` where nothing can be run again, 402 as acceptance would.
    """
    with transaction.atomic():
        job = BulkJob.objects.select_for_update().get(pk=job_id)
        if job.status not in {JobStatus.FAILED, JobStatus.COMPLETED}:
            raise _not_retryable(
                f"The job is {job.status}; only one that has failed or completed can be retried."
            )
        failed = job.slices.filter(status=SliceStatus.FAILED)
        unanswered = _take_out_unanswered(job)
        payloads = [*failed.values_list("payload", flat=True), *(part.payload for part in unanswered)]
        if not payloads:
            raise _not_retryable(
                "None of the job's contacts failed as internal_error, as provider_error or because the"
                " account could not be billed: nothing to retry."
            )
        if any(look_over(unpack(payload)).asks_for_validation for payload in payloads):
            require_billable(job.account)
        failed.update(status=SliceStatus.PENDING, finished_at=None, attempts=0, claimed_at=None, sent_at=None)
        BulkSlice.objects.bulk_create(unanswered)
        job.status, job.completed_at, job.summary = JobStatus.PROCESSING, None, ""
        job.sent_at, job.cancel_requested_at = None, None  # a cancellation that came too late is over
        # Look-ups alone keep no other job waiting, as where they are what is left of a first run.
        job.turn_over = not job.slices.filter(status=SliceStatus.PENDING, lane=Lane.INGEST).exists()
        job.save(
            update_fields=["status", "completed_at", "summary", "sent_at", "turn_over", "cancel_requested_at"]
        )


def _not_retryable(why: str) -> ApiError:
    return ApiError(409, "not_retryable", why)


def _take_out_unanswered(job: BulkJob) -> list[BulkSlice]:
    """Take the contacts that were not paid for (RUN_AGAIN) out of the slices that they ended with.

    Returns a slice for those of each, not yet saved. It bears their entries until it ends, so that the job's
    counters, results and errors stay what they are meanwhile, and also if it is cancelled.
    """
    mentioned = reduce(or_, (Q(errors__contains=f'"{code}"') for code in sorted(RUN_AGAIN)))
    ended = job.slices.filter(mentioned, status=SliceStatus.DONE)
    changed, made = [], []
    for part in ended.select_for_update().order_by("pk"):
        entries = codec.loads(part.errors.encode())
        unanswered = {entry["index"] for entry in entries if entry["code"] in RUN_AGAIN}
        if not unanswered:  # the words stand elsewhere in an entry
            continue
        items = [item for item in unpack(part.payload) if item[0] in unanswered]
        again = new_slice(job, items, Lane.LIVE, counted_as_errors=True)
        again.sent_at = None
        again.errors, part.errors = _split(part.errors, unanswered)
        again.results, part.results = _split(part.results, unanswered)
        part.size -= len(items)
        part.error_count -= len(items)
        changed.append(part)
        made.append(again)
    BulkSlice.objects.bulk_update(changed, ["size", "error_count", "errors", "results"])
    return made


def _split(entries: str, indexes: set[int]) -> tuple[str, str]:
    """A slice's `errors` or `results` in two: the entries of these contacts, and the others, as written."""
    theirs: list[bytes] = []
    others: list[bytes] = []
    for raw in codec.split_array(entries.encode()):
        entry = codec.loads(raw)
        index = entry["index"] if isinstance(entry, dict) else entry[0]
        (theirs if index in indexes else others).append(raw)
    return _joined(theirs), _joined(others)


def _joined(entries: list[bytes]) -> str:
    return f"[{b','.join(entries).decode()}]"


def cancel(job_id: UUID) -> None:
    """Stop what has not taken effect; what has stays. Raises 409 `not_cancellable` once the job has ended.

    Sets a flag in the job's row, which the transaction that finalizes the job acts on. Where a worker is just
    committing a slice, the job ends after that commit; a worker whose slice was cancelled meanwhile learns it
    when it commits, and writes nothing.
    """
    with transaction.atomic():
        job = BulkJob.objects.select_for_update().get(pk=job_id)
        if job.has_ended:
            raise ApiError(409, "not_cancellable", f"The job has ended: it is {job.status}.")
        job.cancel_requested_at = job.cancel_requested_at or timezone.now()
        job.save(update_fields=["cancel_requested_at"])
    finalize(job_id)
