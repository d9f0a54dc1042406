"""Questions to providers, by number: the lease of the worker that asks, the answer, when to ask again."""

from django.db import models
from django.db.models import Q


class Kind(models.TextChoices):
    CARRIER = "carrier"
    """A free carrier look-up: its answer serves all accounts, until TRACKLY_CARRIER_TTL."""
    VALIDATION = "validation"
    """A paid validation's line: its answer is for the account that pays for it."""
    DO_NOT_CALL = "do_not_call"
    """Whether a number is on a do-not-call list: the other half of a paid validation."""


EVERYBODY = 0
"""The scope of what is asked once in the whole system."""
ERROR_LENGTH = 300


class Lookup(models.Model):
    """One question about one number. The lease holder asks; the answer is stored before it is used.

    So a number is asked about once, however many batches name it at a time, and an answer that we were billed
    for outlives the worker that got it.
    """

    kind = models.CharField(max_length=16, choices=Kind)
    scope = models.BigIntegerField(default=EVERYBODY, help_text="The account's id; 0: everybody's.")
    phone_number = models.TextField(db_collation="C", help_text="E.164")
    claimed_until = models.DateTimeField(null=True, help_text="Until when somebody is asking; renewed.")
    answer = models.JSONField(null=True, help_text="What was answered last.")
    answered_at = models.DateTimeField(null=True)
    failures = models.IntegerField(default=0, help_text="Questions since the last answer that got none.")
    retry_at = models.DateTimeField(null=True, help_text="Set: nobody answered; not asked again before.")
    error = models.CharField(
        max_length=ERROR_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text="Why the last question got no answer.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "scope", "phone_number"], name="lookup_once"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="lookup_kind_known"),
            models.CheckConstraint(
                condition=Q(answer__isnull=True, answered_at__isnull=True)
                | Q(answer__isnull=False, answered_at__isnull=False),
                name="lookup_answered_iff_answer",
            ),
        ]
        indexes = [
            models.Index("retry_at", condition=Q(retry_at__isnull=False), name="lookup_due"),
            models.Index("kind", "answered_at", name="lookup_old"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.phone_number}"
