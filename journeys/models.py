"""Welcome Journeys: whom they greet, and who is on one."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from contacts.models import ListContact, SendingList
from trackly.accounts.models import Account


class JourneyStatus(models.TextChoices):
    DRAFT = "draft"
    """Being written; enrolls nobody."""
    ACTIVE = "active"
    """Enrolls the contacts that match."""
    PAUSED = "paused"
    """Enrolls nobody new."""
    ARCHIVED = "archived"
    """Kept for its history."""


class Journey(models.Model):
    """A Welcome Journey: greets contacts that join one of its lists."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="journeys")
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=16, choices=JourneyStatus, default=JourneyStatus.DRAFT)
    lists = models.ManyToManyField(
        SendingList, related_name="journeys", blank=True, help_text="The trigger: joining any of these lists."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=JourneyStatus.values), name="journey_status_known"),
        ]

    def __str__(self) -> str:
        return self.name


class EnrollmentStatus(models.TextChoices):
    ACTIVE = "active"
    """On its way through the journey."""


class Enrollment(models.Model):
    """A contact, as a member of a list, on a journey: once, ever (contract, "What happens to …")."""

    journey = models.ForeignKey(Journey, on_delete=models.CASCADE, related_name="enrollments", db_index=False)
    list_contact = models.ForeignKey(ListContact, on_delete=models.CASCADE, related_name="enrollments")
    status = models.CharField(max_length=16, choices=EnrollmentStatus, default=EnrollmentStatus.ACTIVE)
    enrolled_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["journey", "list_contact"], name="enrollment_once"),
            models.CheckConstraint(
                condition=Q(status__in=EnrollmentStatus.values), name="enrollment_status_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.list_contact}: {self.journey}"
