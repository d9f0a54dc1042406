"""Who may be billed, what a paid validation found, and what it cost."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from trackly.accounts.models import Account


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
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=BillingStatus.values), name="billing_status_known"),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.status}"


class PaymentMethod(models.Model):
    """How an account pays. Card data never comes here: a brand and four digits, for people."""

    billing = models.ForeignKey(BillingConfig, on_delete=models.CASCADE, related_name="payment_methods")
    brand = models.CharField(max_length=32)
    last_four = models.CharField(max_length=4)
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

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="validations", db_index=False)
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

    def __str__(self) -> str:
        return f"{self.phone_number}: {self.disposition}"


class Charge(models.Model):
    """A line of the ledger: appended with the validation that it pays for, never changed."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="charges", db_index=False)
    validation = models.OneToOneField(Validation, on_delete=models.PROTECT, related_name="charge")
    micro_dollars = models.BigIntegerField(help_text="Millionths of a dollar.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index("account", "created_at", name="charge_of_month")]

    def __str__(self) -> str:
        return f"${self.micro_dollars / 1_000_000:.6f}"
