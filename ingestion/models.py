"""A batch in the database: its job, and the slices that the job's chord carries.

```
job    queued ──► processing ──► completed       slice   pending ──► done
          │           │ ▲  ▲        │                     │ │ ▲
          │           │ │  └─retry──┘                     │ │ └─retry─┐
          │           │ └─retry─┐                         │ └──────► failed
          │           ├──────► failed                     └────────► cancelled
          └───────────┴──────► cancelled
```

A completed job is retried where contacts were not paid for (ingestion.pipeline.screening, RUN_AGAIN): they
leave the slice that is done for a new one (ingestion.jobs.control).
"""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Account


class JobStatus(models.TextChoices):
    QUEUED = "queued"
    """Accepted; no contact was processed yet."""
    PROCESSING = "processing"
    """Some slice has started."""
    COMPLETED = "completed"
    """Every contact has its outcome."""
    FAILED = "failed"
    """It ended, but some contacts could not be processed after every retry (internal_error)."""
    CANCELLED = "cancelled"
    """The customer stopped it; what had been processed stays."""


ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobKind(models.TextChoices):
    BULK = "contacts.bulk"
    """`POST /contacts/bulk`."""
    SINGLE = "contacts.single"
    """`POST /contacts`: a batch of one."""


class BulkJob(models.Model):
    """One accepted batch. Its counters move in the transactions that do the work."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.DO_NOTHING, related_name="jobs", db_index=False)
    kind = models.CharField(max_length=32, choices=JobKind, default=JobKind.BULK)
    status = models.CharField(max_length=16, choices=JobStatus, default=JobStatus.QUEUED)
    total = models.IntegerField(help_text="Contacts in the batch.")
    processed = models.IntegerField(default=0)
    success_count = models.IntegerField(default=0)
    error_count = models.IntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, help_text="The time of acceptance.")
    sent_at = models.DateTimeField(
        null=True, help_text="When it went to the workers; empty: its account's turn has not come."
    )
    turn_over = models.BooleanField(
        default=False,
        db_default=False,
        help_text="What needs no network is done; the look-ups that are left keep no other job waiting.",
    )
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    summary = models.TextField(
        blank=True, help_text="The answer's JSON, in ASCII: jsonb can't hold U+0000, which a contact may."
    )

    idempotency_key = models.CharField(  # noqa: DJ001 - NULL: the request had none
        max_length=255, null=True, editable=False, help_text="The client's; free again after 24 hours."
    )
    request_digest = models.BinaryField(
        max_length=32, null=True, editable=False, help_text="SHA-256 of the request that bore the key."
    )
    request_id = models.CharField(
        max_length=32,
        blank=True,
        db_default="",
        default="",
        editable=False,
        help_text="X-Request-Id of the answer that accepted it: its log lines bear it.",
    )

    class Meta:
        indexes = [
            # A page of GET /jobs, whatever is filtered for, and its count are found in this index alone.
            models.Index(
                "account",
                "kind",
                "status",
                F("created_at").desc(),
                F("id").desc(),
                name="bulk_job_listed",
            ),
            # The newest jobs of all accounts, for the admin.
            models.Index(F("created_at").desc(), F("id").desc(), name="bulk_job_by_time"),
            models.Index("created_at", condition=~Q(status__in=ENDED), name="bulk_job_running"),
            models.Index(
                "account",
                "created_at",
                condition=Q(completed_at__isnull=True, sent_at__isnull=True),
                name="bulk_job_waiting",
            ),
            models.Index(
                "account",
                condition=Q(completed_at__isnull=True, sent_at__isnull=False, turn_over=False),
                name="bulk_job_in_flight",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=JobStatus.values), name="bulk_job_status_known"),
            models.UniqueConstraint(
                "account",
                "idempotency_key",
                condition=Q(idempotency_key__isnull=False),
                name="bulk_job_idempotency_key",
            ),
            models.CheckConstraint(
                condition=Q(status__in=ENDED, completed_at__isnull=False)
                | Q(~Q(status__in=ENDED), completed_at__isnull=True, summary=""),
                name="bulk_job_ended_iff_completed_at",
            ),
            models.CheckConstraint(
                condition=Q(processed=F("success_count") + F("error_count"), processed__lte=F("total")),
                name="bulk_job_counts_reconcile",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


class SliceStatus(models.TextChoices):
    PENDING = "pending"
    """To be processed; a message on its way, a worker at it, or neither (then the sweep sends it)."""
    DONE = "done"
    """What it did and this mark were committed together."""
    FAILED = "failed"
    """Given up after every attempt; its contacts stand as internal_error."""
    CANCELLED = "cancelled"
    """The job was cancelled before it took effect."""


class Lane(models.TextChoices):
    INGEST = "ingest"
    """What needs no network. What turns out to need it is put off into slices of the other lane."""
    LIVE = "live"
    """Contacts whose numbers are looked up at a carrier's or validation provider's."""


class IncidentKind(models.TextChoices):
    """What had to be mended, by the sweep or by a worker."""

    SENT_AGAIN = "sent_again"
    """No worker had the slices: their message was lost, or their worker."""
    SETTLED = "settled"
    """All slices had ended, but the job was not finalized: the chord's body was lost."""
    HALVED = "halved"
    """A slice failed time and again."""
    GIVEN_UP = "given_up"
    """A slice could not be processed; its contacts are internal_error."""


class Incident(models.Model):
    """Something that did not go as it should, and was mended. Kept for 30 days."""

    kind = models.CharField(max_length=16, choices=IncidentKind)
    job = models.ForeignKey("BulkJob", on_delete=models.CASCADE, related_name="incidents")
    slice_id = models.BigIntegerField(null=True)
    count = models.IntegerField(help_text="Slices that were sent again; contacts of a slice.")
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=IncidentKind.values), name="bulk_incident_kind_known")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.count}"


class BulkSlice(models.Model):
    """Contacts of a batch that are processed, and take effect, together. No number spans two slices."""

    job = models.ForeignKey(BulkJob, on_delete=models.CASCADE, related_name="slices")
    lane = models.CharField(max_length=8, choices=Lane, default=Lane.INGEST)
    status = models.CharField(max_length=16, choices=SliceStatus, default=SliceStatus.PENDING)
    size = models.IntegerField(help_text="Contacts in it; what was put off counts in the later slice.")
    payload = models.BinaryField(help_text="msgpack, compressed: a list of [index, the contact as sent].")
    attempts = models.IntegerField(default=0, help_text="How often it failed: raised, or fell silent.")
    claimed_at = models.DateTimeField(null=True, help_text="Since when a worker is at it; empty: none is.")
    claimed_by = models.CharField(
        max_length=64, blank=True, help_text="The task that it is at: the same one again means a dead worker."
    )
    sent_at = models.DateTimeField(
        null=True, default=timezone.now, help_text="When its message was last sent; empty: not yet."
    )
    finished_at = models.DateTimeField(null=True)
    success_count = models.IntegerField(default=0)
    error_count = models.IntegerField(default=0)
    contacts_created = models.IntegerField(default=0)
    list_contacts_created = models.IntegerField(default=0)
    journeys_enrolled = models.IntegerField(default=0)
    results = models.TextField(
        default="[]",
        help_text="JSON: [index, outcome, contact id, membership id, enrollments, validation] of each.",
    )
    errors = models.TextField(default="[]", help_text="JSON, in ASCII: the entries of the summary's errors.")
    lists = models.JSONField(
        default=dict, help_text="By list id: whether a contact set use_journeys, how many had opted out."
    )

    class Meta:
        indexes = [
            models.Index("sent_at", condition=Q(status="pending"), name="bulk_slice_pending"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=SliceStatus.values), name="bulk_slice_status_known"
            ),
            models.CheckConstraint(condition=Q(lane__in=Lane.values), name="bulk_slice_lane_known"),
            models.CheckConstraint(
                condition=Q(status=SliceStatus.PENDING, finished_at__isnull=True)
                | Q(~Q(status=SliceStatus.PENDING), finished_at__isnull=False),
                name="bulk_slice_ended_iff_finished_at",
            ),
        ]

    def __str__(self) -> str:
        return f"slice {self.pk} of {self.job_id}"
