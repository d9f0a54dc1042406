"""What the sweep finds: stalled slices, and jobs that were not finalized: Redis carries hints."""

from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, Value
from django.db.models.functions import Coalesce, Least

from core import sql
from ingestion.models import ENDED, BulkJob, BulkSlice, Lane, SliceStatus

_AT_ONCE = 1_000
_LONGEST_PATIENCE = timedelta(minutes=10)


def take_stalled() -> dict[tuple[UUID, Lane], list[int]]:
    """Slices that are still pending long after their message was sent, by job and lane; marked as sent now.

    "Long" is TRACKLY_SWEEP_AFTER (TRACKLY_SLICE_LEASE where a worker has begun), and as long again as the
    slice has waited already (ten minutes at most), so that a slice behind a long queue is sent a few times,
    not every minute. One behind its account's in-flight limit was not sent yet (ingestion.jobs.fairness).
    All by the database's clock. Call it in a transaction; send after its commit.
    """
    now = sql.now()
    patience = timedelta(seconds=settings.TRACKLY_SWEEP_AFTER)
    lease = timedelta(seconds=settings.TRACKLY_SLICE_LEASE)
    first = Coalesce(F("job__sent_at"), F("job__created_at"))
    waited = ExpressionWrapper(F("sent_at") - first, output_field=DurationField())
    longest = Value(_LONGEST_PATIENCE, output_field=DurationField())
    stalled = (
        BulkSlice.objects.filter(status=SliceStatus.PENDING, sent_at__lt=now - patience)
        .filter(Q(claimed_at=None) | Q(claimed_at__lt=now - lease))
        .annotate(waited=Least(waited, longest, output_field=DurationField()))
        .filter(sent_at__lt=now - F("waited"))
        .select_for_update(of=("self",), skip_locked=True)
        .order_by("sent_at")
        .values_list("pk", "job_id", "lane")[:_AT_ONCE]
    )
    found: dict[tuple[UUID, Lane], list[int]] = defaultdict(list)
    for slice_id, job_id, lane in stalled:
        found[job_id, Lane(lane)].append(slice_id)
    taken = [slice_id for slice_ids in found.values() for slice_id in slice_ids]
    BulkSlice.objects.filter(pk__in=taken).update(sent_at=now)
    return found


def orphans() -> list[UUID]:
    """Jobs whose slices have all ended without the job, or that were cancelled and have not ended."""
    pending = BulkSlice.objects.filter(job=OuterRef("pk"), status=SliceStatus.PENDING)
    before = sql.now() - timedelta(seconds=settings.TRACKLY_SWEEP_AFTER)
    over = ~Exists(pending) | Q(cancel_requested_at__lt=before)
    unfinished = BulkJob.objects.filter(~Q(status__in=ENDED), over, created_at__lt=before)
    return list(unfinished.values_list("pk", flat=True)[:_AT_ONCE])
