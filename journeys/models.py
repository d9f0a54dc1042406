"""Welcome Journeys: their triggers, their steps, their enrollments, and the messages sent."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account
from contacts.models import ListContact
from journeys.conditions import Group, read_trigger
from journeys.steps import Plan, read_plan


class JourneyStatus(models.TextChoices):
    DRAFT = "draft"
    """Being written; does not enroll."""
    ACTIVE = "active"
    """Enrolls the contacts that match."""
    PAUSED = "paused"
    """No new enrollments; existing ones go on."""
    ARCHIVED = "archived"
    """Over: existing enrollments end at their next step. Kept for its history."""


class Journey(models.Model):
    """A Welcome Journey: greets contacts that join a list and match its trigger."""

    account = models.ForeignKey(Account, on_delete=models.DO_NOTHING, related_name="journeys")
    name = models.CharField(max_length=200)
    status = models.CharField(
        max_length=16,
        choices=JourneyStatus,
        default=JourneyStatus.DRAFT,
        help_text="Paused: enrolls nobody new, those on it go on. Archived: those on it leave.",
    )
    trigger = models.JSONField(
        null=True,
        blank=True,
        help_text="A group of conditions (journeys.conditions); none: it greets nobody.",
    )
    version = models.ForeignKey(
        "JourneyVersion",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        help_text="The steps of whoever is enrolled from now on.",
    )
    revision = models.PositiveIntegerField(default=0, editable=False, help_text="Counts saves.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=JourneyStatus.values), name="journey_status_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def group(self) -> Group | None:
        """The trigger. Raises msgspec.ValidationError if it is none."""
        return read_trigger(self.trigger) if self.trigger else None

    def publish(self, steps: list[Any], *, by: Any = None) -> "JourneyVersion":
        """Make `steps` those of all enrollments from now on; no new version if they equal the last one's.

        Call it in a transaction; saves the journey.
        """
        Journey.objects.select_for_update().get(pk=self.pk)
        last = self.versions.order_by("-number").first()
        if last is None or last.steps != steps:
            number = last.number + 1 if last else 1
            last = JourneyVersion.objects.create(journey=self, number=number, steps=steps, created_by=by)
        self.version, self.revision = last, self.revision + 1
        self.save()
        return last


class JourneyVersion(models.Model):
    """Steps as they were at one time: never changed. An enrollment keeps the version that it began with."""

    journey = models.ForeignKey(Journey, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    steps = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["journey", "number"], name="journey_version_number")]

    def __str__(self) -> str:
        return f"{self.journey}, version {self.number}"

    @property
    def plan(self) -> Plan:
        """The steps. Raises msgspec.ValidationError if they are none."""
        return read_plan(self.steps)


class EnrollmentStatus(models.TextChoices):
    """active ─┬─► completed, unsubscribed, expired, stopped, failed: ended, for good."""

    ACTIVE = "active"
    """On its way through the journey."""
    COMPLETED = "completed"
    """Came to the end, or to an exit."""
    UNSUBSCRIBED = "unsubscribed"
    """The contact opted out of the list."""
    EXPIRED = "expired"
    """Was on the journey for longer than a journey may take."""
    STOPPED = "stopped"
    """The journey was archived, or the list deleted."""
    FAILED = "failed"
    """A step could not be taken, however often it was tried."""


_ACTIVE = Q(status=EnrollmentStatus.ACTIVE)


class Enrollment(models.Model):
    """A contact, as a member of a list, on a journey: once, ever (contract, "What happens to …")."""

    journey = models.ForeignKey(
        Journey, on_delete=models.DO_NOTHING, related_name="enrollments", db_index=False
    )
    version = models.ForeignKey(
        JourneyVersion, on_delete=models.DO_NOTHING, related_name="enrollments", db_index=False
    )
    list_contact = models.ForeignKey(ListContact, on_delete=models.CASCADE, related_name="enrollments")
    status = models.CharField(max_length=16, choices=EnrollmentStatus, default=EnrollmentStatus.ACTIVE)
    step = models.CharField(
        max_length=16, blank=True, help_text="Where it waits; empty: before the first step."
    )
    taken = models.PositiveIntegerField(default=0, help_text="Steps taken so far.")
    due_at = models.DateTimeField(default=timezone.now, help_text="When it goes on.")
    claimed_at = models.DateTimeField(null=True, blank=True, help_text="Set: a worker is at it, since then.")
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Begun since it went on last; more than one if workers died."
    )
    enrolled_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["journey", "list_contact"], name="enrollment_once"),
            models.CheckConstraint(
                condition=Q(status__in=EnrollmentStatus.values), name="enrollment_status_known"
            ),
            models.CheckConstraint(
                condition=(_ACTIVE & Q(ended_at=None)) | (~_ACTIVE & Q(ended_at__isnull=False)),
                name="enrollment_ended_at",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=_ACTIVE & Q(claimed_at=None), name="enrollment_due"),
            models.Index(
                fields=["claimed_at"],
                condition=_ACTIVE & Q(claimed_at__isnull=False),
                name="enrollment_claimed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.list_contact}: {self.journey}"


class Visit(models.Model):
    """A step that an enrollment took: its history, and what the funnel counts."""

    enrollment = models.ForeignKey(
        Enrollment, on_delete=models.CASCADE, related_name="visits", db_index=False
    )
    number = models.PositiveIntegerField(help_text="The enrollment's first step is 1.")
    version = models.ForeignKey(
        JourneyVersion, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    step = models.CharField(max_length=16)
    note = models.CharField(max_length=100, blank=True, help_text="What became of it.")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["enrollment", "number"], name="visit_once")]
        indexes = [models.Index(fields=["version", "step", "enrollment"], name="visit_by_step")]

    def __str__(self) -> str:
        return f"{self.number}: {self.step} {self.note}".strip()


class MessageStatus(models.TextChoices):
    """queued ─► sending ─┬─► sent; failed; unconfirmed ─► sent, failed; or back to queued."""

    QUEUED = "queued"
    """To be sent at `due_at`."""
    SENDING = "sending"
    """Leased by a worker: the gateway may or may not have it."""
    SENT = "sent"
    """The gateway has taken it."""
    FAILED = "failed"
    """The gateway refuses it, a day of attempts failed, or it stayed unknown whether it was sent."""
    CANCELLED = "cancelled"
    """Before it left the contact opted out, the list was deleted, or it was held for a week."""
    UNCONFIRMED = "unconfirmed"
    """No answer came, so the gateway may have it: never sent again by itself; it is asked."""


class OutboundMessage(models.Model):
    """A message to a contact: the outbox. It commits with the step that it belongs to, and leaves once."""

    enrollment = models.ForeignKey(
        Enrollment, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    number = models.PositiveIntegerField(help_text="Of the visit that it belongs to.")
    step = models.CharField(max_length=16)
    list_contact = models.ForeignKey(ListContact, on_delete=models.CASCADE, related_name="+")
    text = models.TextField()
    segments = models.PositiveSmallIntegerField()
    encoding = models.CharField(max_length=8)
    status = models.CharField(max_length=16, choices=MessageStatus, default=MessageStatus.QUEUED)
    due_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    gateway = models.CharField(max_length=16, blank=True)
    gateway_id = models.CharField(max_length=64, blank=True, help_text="What the gateway calls it.")
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["enrollment", "number"], name="message_once"),
            models.UniqueConstraint(
                fields=["gateway", "gateway_id"], condition=~Q(gateway_id=""), name="message_gateway_id"
            ),
            models.CheckConstraint(condition=Q(status__in=MessageStatus.values), name="message_status_known"),
            models.CheckConstraint(
                condition=~Q(status=MessageStatus.SENT) | Q(sent_at__isnull=False), name="message_sent_at"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status=MessageStatus.QUEUED), name="message_due"),
            models.Index(
                fields=["claimed_at"],
                condition=Q(status__in=[MessageStatus.SENDING, MessageStatus.UNCONFIRMED]),
                name="message_unanswered",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()}: {self.text[:40]}"
