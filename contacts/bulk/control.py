"""What a customer can do with a job: stop it, and run again what failed."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from billing.gate import require_billable
from contacts.bulk.accept import look_over, unpack
from contacts.bulk.models import BulkJob, JobStatus, SliceStatus
from contacts.bulk.settle import settle
from trackly.api.errors import ApiError


def retry(job_id: UUID) -> None:
    """Make the failed slices pending again; they wait for their account's turn, like what is new.

    The job runs again; its progress does not fall: until they end, the contacts count as the errors they are.
    Raises 409 `not_retryable` unless the job has failed, 402 as acceptance would.
    """
    with transaction.atomic():
        job = BulkJob.objects.select_for_update().get(pk=job_id)
        if job.status != JobStatus.FAILED:
            raise ApiError(
                409, "not_retryable", f"The job is {job.status}; only a failed one can be retried."
            )
        of_job = job.slices.filter(status=SliceStatus.FAILED)
        payloads = of_job.values_list("payload", flat=True)
        if any(look_over(unpack(payload)).asks_for_validation for payload in payloads):
            require_billable(job.account)
        of_job.update(status=SliceStatus.PENDING, finished_at=None, attempts=0, claimed_at=None, sent_at=None)
        job.status, job.completed_at, job.summary = JobStatus.PROCESSING, None, ""
        job.sent_at, job.turn_over = None, False
        job.cancel_requested_at = None  # of a cancellation that came too late to stop anything
        job.save(
            update_fields=["status", "completed_at", "summary", "sent_at", "turn_over", "cancel_requested_at"]
        )


def cancel(job_id: UUID) -> None:
    """Stop what has not taken effect; what has stays. Raises 409 `not_cancellable` once the job has ended.

    A flag in the job's row, which whoever settles acts on. Where a worker is just committing a slice the job
    ends with that; a worker at a slice that was cancelled finds so when it comes to commit, and does nothing.
    """
    with transaction.atomic():
        job = BulkJob.objects.select_for_update().get(pk=job_id)
        if job.has_ended:
            raise ApiError(409, "not_cancellable", f"The job has ended: it is {job.status}.")
        job.cancel_requested_at = job.cancel_requested_at or timezone.now()
        job.save(update_fields=["cancel_requested_at"])
    settle(job_id)
