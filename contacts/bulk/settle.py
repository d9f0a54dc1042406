"""The end of a job: the summary, from what its slices did, and the word to whoever waits."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from contacts.bulk import waiting
from contacts.bulk.models import BulkJob, BulkSlice, JobStatus, SliceStatus
from contacts.bulk.process import Report, give_up
from contacts.models import SendingList
from journeys.enroll import greetings
from trackly.api import json

logger = structlog.get_logger(__name__)

_COUNTS = ("success_count", "error_count", "contacts_created", "list_contacts_created", "journeys_enrolled")


def may_end(job_id: UUID) -> bool:
    """Whether every contact has been processed, or none shall be any more: then to settle is worth a try."""
    over = Q(processed=F("total")) | Q(cancel_requested_at__isnull=False)
    return BulkJob.objects.filter(over, pk=job_id, completed_at=None).exists()


def settle(job_id: UUID) -> int | None:
    """End the job if all its slices have ended; its account's id if that ended it, else None.

    A single conditional step that may run any number of times, at once, and too early.
    """
    with transaction.atomic():
        job = BulkJob.objects.select_for_update().filter(pk=job_id).first()
        if job is None or job.has_ended:
            return None
        if job.cancel_requested_at is not None:
            _cancel_pending(job)
            job.refresh_from_db()
        slices = list(BulkSlice.objects.filter(job=job).defer("payload", "results"))
        statuses = {part.status for part in slices}
        if SliceStatus.PENDING in statuses:
            return None
        summary = summarize(slices)
        job.status = JobStatus.COMPLETED
        if job.cancel_requested_at is not None and job.processed < job.total:
            job.status = JobStatus.CANCELLED
            summary["cancelled_count"] = job.total - job.processed
        elif SliceStatus.FAILED in statuses:
            job.status = JobStatus.FAILED
        job.completed_at = timezone.now()
        job.summary = json.dumps(summary)
        job.save(update_fields=["status", "completed_at", "summary"])
    waiting.announce(job_id)
    return job.account_id


def _cancel_pending(job: BulkJob) -> None:
    """End the slices of a cancelled job that nobody is just committing.

    Those that somebody is are skipped, not waited for: he holds the slice and wants the job, which we hold.
    """
    pending = BulkSlice.objects.filter(job=job, status=SliceStatus.PENDING)
    locked = list(pending.select_for_update(skip_locked=True).values_list("pk", "error_count", "errors"))
    now, failed_before = timezone.now(), []
    for slice_id, counted_errors, errors in locked:
        if counted_errors:  # of a retry: its contacts count as errors already, and stay that
            if errors == "[]":  # made by the retry itself
                give_up(slice_id)
            else:
                failed_before.append(slice_id)
    pending.filter(pk__in=failed_before).update(status=SliceStatus.FAILED, finished_at=now)
    of_them = pending.filter(pk__in=[slice_id for slice_id, *_ in locked])
    of_them.update(status=SliceStatus.CANCELLED, finished_at=now)


def summarize(slices: Sequence[BulkSlice | Report]) -> dict[str, Any]:
    """The answer's body (contract, "The answer")."""
    errors = [entry for part in slices for entry in json.loads(part.errors.encode())]
    summary: dict[str, Any] = {name: sum(getattr(part, name) for part in slices) for name in _COUNTS}
    counts = {name: summary.pop(name) for name in _COUNTS[2:]}
    summary["errors"] = sorted(errors, key=lambda entry: entry["index"])
    summary.update(counts)
    if warnings := _warnings(slices):
        summary["warnings"] = warnings
    return summary


def _warnings(slices: Iterable[BulkSlice | Report]) -> list[str]:
    """One per list whose journeys nobody asked for, one per list with members who had opted out."""
    asked: dict[int, bool] = defaultdict(bool)
    opted_out: dict[int, int] = defaultdict(int)
    for part in slices:
        for list_id, (used_journeys, count) in part.lists.items():
            asked[int(list_id)] |= used_journeys
            opted_out[int(list_id)] += count
    journeys = greetings(list_id for list_id, used in asked.items() if not used)
    numbers = dict(SendingList.objects.filter(pk__in=asked.keys()).values_list("pk", "phone_number"))
    warnings = []
    for list_id, number in sorted(numbers.items(), key=lambda item: item[1]):
        if names := ", ".join(f'"{journey.name}"' for journey in journeys.get(list_id, ())):
            warnings.append(
                f"List {number} has active Welcome Journeys ({names}), "
                "but no contact of this batch set use_journeys."
            )
        if count := opted_out[list_id]:
            who = "1 contact was" if count == 1 else f"{count} contacts were"
            stay = "stays" if count == 1 else "stay"
            warnings.append(f"List {number}: {who} unsubscribed before and {stay} unsubscribed.")
    return warnings
