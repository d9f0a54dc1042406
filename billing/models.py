"""Billing settings of accounts, findings of paid validations, and what they cost."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account


class BillingStatus(models.TextChoices):
    ACTIVE = "active"
    """May be billed, given a payment method."""
    PAYMENT_FAILED = "payment_failed"
    """The last payment failed; nothing is billed until one succeeds."""
    SUSPENDED = "suspended"
    """Billing was stopped by hand."""


class BillingConfig(models.Model):
    """An account's agreement to be billed. No row: `no_billing_config`."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="billing")
    status = models.CharField(max_length=16, choices=BillingStatus, default=BillingStatus.ACTIVE)
    stripe_generation = models.IntegerField(
        default=0, editable=False, help_text="How many customers of its were deleted at Stripe."
    )
    stripe_customer_id = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "billing"
        verbose_name_plural = "billing"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=BillingStatus.values), name="billing_status_known"),
        ]

    def __str__(self) -> str:
        return str(self.account)


class PaymentMethod(models.Model):
    """How an account pays. Card data never comes here: a brand and four digits, for people."""

    billing = models.ForeignKey(BillingConfig, on_delete=models.CASCADE, related_name="payment_methods")
    brand = models.CharField(max_length=32)
    last_four = models.CharField(max_length=4)
    stripe_id = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    detached_at = models.DateTimeField(null=True, blank=True, help_text="Set: no longer usable.")

    def __str__(self) -> str:
        return f"{self.brand} …{self.last_four}"


class Disposition(models.TextChoices):
    """The contract's words (contract, "Paid validation")."""

    OK = "ok"
    """Mobile, in service, not on a do-not-call list."""
    RISKY = "risky"
    """VOIP, or on a do-not-call list."""
    UNKNOWN = "unknown"
    """The provider can't tell."""
    UNREACHABLE = "unreachable"
    """A fixed line, or out of service."""
    INVALID = "invalid"
    """No such number."""


class Validation(models.Model):
    """What a paid validation of a number found, for the account that paid. Kept for good."""

    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, related_name="validations", db_index=False
    )
    phone_number = models.TextField(db_collation="C", help_text="E.164")
    disposition = models.CharField(max_length=16, choices=Disposition)
    valid = models.BooleanField()
    line_type = models.CharField(max_length=32)
    carrier = models.CharField(max_length=200, blank=True)
    ported = models.BooleanField()
    on_dnc = models.BooleanField("on a do-not-call list")
    country = models.CharField(max_length=2, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "phone_number"], name="validation_once"),
            models.CheckConstraint(
                condition=Q(disposition__in=Disposition.values), name="validation_disposition_known"
            ),
        ]
        # `validation_once` begins with the account; the admin's search is for a number alone.
        indexes = [models.Index("phone_number", name="validation_by_number")]

    def __str__(self) -> str:
        return f"{self.phone_number}: {self.disposition}"


MOST_MICRO_DOLLARS = 100_000 * 1_000_000
"""Of one entry, up or down: more is a slip of the finger, and the ledger forgets nothing."""


class EntryKind(models.TextChoices):
    CHARGE = "charge"
    """A paid validation; committed with its result."""
    REFUND = "refund"
    """Takes a charge back, whole."""
    ADJUSTMENT = "adjustment"
    """By hand, up or down, with a reason."""


class LedgerEntry(models.Model):
    """A line of the ledger: what an account owes, and for what. Appended, never changed (a trigger refuses).

    A charge is stored by the statement that stores the validation it pays for (billing.ledger), so there is
    one if and only if there is the other; `validation_once` makes both once per account and number.
    """

    account = models.ForeignKey(Account, on_delete=models.DO_NOTHING, related_name="ledger", db_index=False)
    kind = models.CharField(max_length=16, choices=EntryKind, default=EntryKind.CHARGE)
    micro_dollars = models.BigIntegerField(help_text="Millionths of a dollar; positive: the account owes it.")
    validation = models.OneToOneField(
        Validation, on_delete=models.PROTECT, related_name="charge", null=True, blank=True
    )
    reverses = models.OneToOneField(
        "self", on_delete=models.PROTECT, related_name="refund", null=True, blank=True
    )
    reason = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "ledger entries"
        indexes = [
            models.Index("account", "created_at", name="ledger_of_month"),
            models.Index("created_at", name="ledger_by_time"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    kind=EntryKind.CHARGE,
                    validation__isnull=False,
                    reverses__isnull=True,
                    micro_dollars__gt=0,
                )
                | (
                    Q(
                        kind=EntryKind.REFUND,
                        validation__isnull=True,
                        reverses__isnull=False,
                        micro_dollars__lt=0,
                    )
                    & ~Q(reason="")
                )
                | (
                    Q(kind=EntryKind.ADJUSTMENT, validation__isnull=True, reverses__isnull=True)
                    & ~Q(micro_dollars=0)
                    & ~Q(reason="")
                ),
                name="ledger_entry_is_for_something",
            ),
            models.CheckConstraint(
                condition=Q(micro_dollars__gte=-MOST_MICRO_DOLLARS, micro_dollars__lte=MOST_MICRO_DOLLARS),
                name="ledger_entry_is_no_slip",
            ),
        ]

    def __str__(self) -> str:
        return dollars(self.micro_dollars)


class CachedUse(models.Model):
    """Validations that were answered from memory, for nothing: what a slice had of them.

    Appended in the slice's transaction, one row each; added up by the sweep (billing.usage).
    """

    account = models.ForeignKey(Account, on_delete=models.DO_NOTHING, related_name="+", db_index=False)
    month = models.DateField(help_text="Its first day, UTC.")
    count = models.BigIntegerField()

    class Meta:
        indexes = [models.Index("account", "month", name="cached_use_of_month")]

    def __str__(self) -> str:
        return f"{self.count} in {self.month:%Y-%m}"


class ClosedMonth(models.Model):
    """A month whose invoices were all made; made with them, in one transaction."""

    month = models.DateField(unique=True, help_text="Its first day, UTC.")
    closed_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class InvoiceStatus(models.TextChoices):
    PENDING = "pending"
    """To be brought to Stripe, or half there."""
    PAID = "paid"
    """For good. One below zero: paid back."""
    FAILED = "failed"
    """Could not be paid; Stripe tries again on its own schedule, and we once with each new card."""
    VOID = "void"
    """Given up by hand, at Stripe. For good."""
    CARRIED = "carried"
    """Too little to be collected (Stripe takes no less than 50 cents), or credit: part of the next one."""


class Invoice(models.Model):
    """What an account owes for a month, or gets back: one per account and month, ever.

    ```
    carried        pending ──► paid
                    │   │       ▲
                    │   └──► failed
                    └──► void ◄─┘
    ```
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="invoices", db_index=False)
    month = models.DateField(help_text="Its first day, UTC.")
    reference = models.UUIDField(default=uuid.uuid4, unique=True, help_text="Ours, at Stripe.")
    micro_dollars = models.BigIntegerField(help_text="The month's ledger, added up.")
    carried_in = models.BigIntegerField(default=0, help_text="What the one before left, in millionths.")
    cents = models.BigIntegerField(
        help_text="What is collected, or below zero: paid back. The rest is carried on."
    )
    status = models.CharField(max_length=16, choices=InvoiceStatus, default=InvoiceStatus.PENDING)
    stripe_id = models.CharField(
        max_length=64, unique=True, null=True, blank=True, help_text="Paid back: the first credit note's."
    )
    replaced_id = models.CharField(
        max_length=64,
        unique=True,
        null=True,
        blank=True,
        help_text="Stripe's invoice before this one: deleted, or of a customer that was. Withdrawn.",
    )
    claimed_until = models.DateTimeField(null=True, help_text="Until when somebody is bringing it to Stripe.")
    tried_at = models.DateTimeField(null=True, help_text="When somebody last began to.")
    tried_with = models.CharField(
        max_length=64, blank=True, help_text="The card of the last attempt of ours."
    )
    next_attempt_at = models.DateTimeField(
        null=True, blank=True, help_text="Stripe's next one, after a failed."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    paid_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "month"], name="invoice_once"),
            models.CheckConstraint(condition=Q(status__in=InvoiceStatus.values), name="invoice_status_known"),
            models.CheckConstraint(
                condition=Q(status=InvoiceStatus.PAID, paid_at__isnull=False)
                | (~Q(status=InvoiceStatus.PAID) & Q(paid_at__isnull=True)),
                name="invoice_paid_iff_paid_at",
            ),
            models.CheckConstraint(
                condition=Q(status=InvoiceStatus.CARRIED, cents=0)
                | (~Q(status=InvoiceStatus.CARRIED) & ~Q(cents=0)),
                name="invoice_carried_iff_nothing_collected",
            ),
            models.CheckConstraint(
                condition=Q(cents__gte=0) | Q(status__in=[InvoiceStatus.PENDING, InvoiceStatus.PAID]),
                name="invoice_paid_back_without_failing",
            ),
        ]
        indexes = [models.Index("status", condition=Q(status="pending"), name="invoice_pending")]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}: {in_cents(self.cents)}"


class StripeEvent(models.Model):
    """A webhook that has taken effect: the same one again does nothing."""

    stripe_id = models.CharField(max_length=64, unique=True)
    type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=64, blank=True, db_index=True, help_text="What it is about.")
    created_at = models.DateTimeField(help_text="By Stripe's clock.")
    received_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.type} {self.stripe_id}"


def in_cents(cents: int) -> str:
    """An amount in whole cents, for people."""
    return f"{'-' if cents < 0 else ''}${abs(cents) / 100:,.2f}"


def dollars(micro_dollars: int) -> str:
    """An amount of money for people, with all its digits."""
    sign = "-" if micro_dollars < 0 else ""
    return f"{sign}${abs(micro_dollars) // 1_000_000}.{abs(micro_dollars) % 1_000_000:06d}"
