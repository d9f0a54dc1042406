"""The end of a job: the summary, from what its slices did, and the word to whoever waits."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from contacts.bulk import waiting
from contacts.bulk.models import BulkJob, BulkSlice, JobStatus, SliceStatus
from contacts.models import SendingList
from journeys.enroll import active_journeys
from trackly.api import json

logger = structlog.get_logger(__name__)

_COUNTS = ("success_count", "error_count", "contacts_created", "list_contacts_created", "journeys_enrolled")


def settle(job_id: UUID) -> bool:
    """End the job if all its slices have ended; whether it has ended (now or before).

    A single conditional step that may run any number of times, at once, and too early.
    """
    with transaction.atomic():
        job = BulkJob.objects.select_for_update().filter(pk=job_id).first()
        if job is None or job.has_ended:
            return True
        slices = list(BulkSlice.objects.filter(job=job).defer("payload", "results"))
        if any(part.status == SliceStatus.PENDING for part in slices):
            return False
        failed = any(part.status == SliceStatus.FAILED for part in slices)
        job.status = JobStatus.FAILED if failed else JobStatus.COMPLETED
        job.completed_at = timezone.now()
        job.summary = json.dumps(_summary(slices))
        job.save(update_fields=["status", "completed_at", "summary"])
    waiting.announce(job_id)
    return True


def _summary(slices: Sequence[BulkSlice]) -> dict[str, Any]:
    """The answer's body (contract, "The answer")."""
    errors = [entry for part in slices for entry in json.loads(part.errors.encode())]
    summary: dict[str, Any] = {name: sum(getattr(part, name) for part in slices) for name in _COUNTS}
    counts = {name: summary.pop(name) for name in _COUNTS[2:]}
    summary["errors"] = sorted(errors, key=lambda entry: entry["index"])
    summary.update(counts)
    if warnings := _warnings(slices):
        summary["warnings"] = warnings
    return summary


def _warnings(slices: Iterable[BulkSlice]) -> list[str]:
    """One per list whose journeys nobody asked for, one per list with members who had opted out."""
    asked: dict[int, bool] = defaultdict(bool)
    opted_out: dict[int, int] = defaultdict(int)
    for part in slices:
        for list_id, (used_journeys, count) in part.lists.items():
            asked[int(list_id)] |= used_journeys
            opted_out[int(list_id)] += count
    journeys = active_journeys(list_id for list_id, used in asked.items() if not used)
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
