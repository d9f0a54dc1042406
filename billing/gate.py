"""The 402 gate (contract, "POST /contacts/bulk"): may this account be billed. Asked again before it pays."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, CharField, Exists, F, OuterRef, QuerySet, Value, When

from accounts.models import Account
from billing.models import BillingConfig, BillingStatus, Invoice, InvoiceStatus, PaymentMethod
from core.http.codes import ErrorCode
from core.http.errors import ApiError


@dataclass(frozen=True)
class Reason:
    """Why an account may not be billed: for its requests, and for an operator."""

    label: str
    message: str
    """The 402's text."""
    remedy: str
    """What an operator can do about it."""


NO_CONFIG = "no_billing_config"
NO_METHOD = "no_payment_method"
REASONS = {
    NO_CONFIG: Reason(
        "Not set up",
        "use_validation needs billing, which is not set up for this account.",
        "Add billing for this account.",
    ),
    NO_METHOD: Reason(
        "No payment method",
        "use_validation needs a payment method, and this account has none.",
        "Create a payment-method link and send it to the customer.",
    ),
    BillingStatus.PAYMENT_FAILED: Reason(
        "Payment failed",
        "The account's last payment failed; use_validation is off until one succeeds.",
        "Stripe retries the failed invoice. To have it paid sooner, create a payment-method link for the "
        "customer: a new card is tried within minutes. If no invoice has failed, choose Resume.",
    ),
    BillingStatus.SUSPENDED: Reason(
        "Suspended",
        "Billing is suspended for this account; use_validation is off.",
        "It was suspended by an operator; its history says why. Choose Resume to end the suspension.",
    ),
}
"""By the contract's codes, in its order."""


def with_refusal(configs: "QuerySet[BillingConfig]") -> "QuerySet[Any]":
    """The configs, each with `refusal`: the code of the first reason that applies, or NULL.

    The gate and the admin's pages read this one expression, so a page can't say other than the API answers.
    """
    usable = PaymentMethod.objects.filter(billing=OuterRef("pk"), detached_at=None)
    failed = Invoice.objects.filter(account=OuterRef("account"), status=InvoiceStatus.FAILED)
    first = Case(
        When(~Exists(usable), then=Value(NO_METHOD)),
        # Whatever has been written into the state by hand.
        When(Exists(failed), status=BillingStatus.ACTIVE, then=Value(str(BillingStatus.PAYMENT_FAILED))),
        When(status=BillingStatus.ACTIVE, then=Value(None)),
        default=F("status"),
        output_field=CharField(),
    )
    return configs.annotate(refusal=first)


def refusal(account: Account | int) -> str | None:
    """Why the account (or that of this id) may not be billed, or None. One query.

    The first that applies, in the contract's order: `no_billing_config`, `no_payment_method`,
    `payment_failed`, `suspended`.
    """
    found = with_refusal(BillingConfig.objects.filter(account=account)).values_list("refusal").first()
    return NO_CONFIG if found is None else found[0]


def why_not_charged(account_id: int) -> tuple[str, str] | None:
    """Why nothing may be charged to the account now: a code and its sentence, or None. Two queries.

    To be asked right before money is spent: what was accepted while the account could be billed may be
    processed hours later. The suspension of the whole account comes first, as with a request.
    """
    if Account.objects.filter(pk=account_id, suspended_at__isnull=False).exists():
        return str(ErrorCode.ACCOUNT_SUSPENDED), ErrorCode.ACCOUNT_SUSPENDED.sentence
    code = refusal(account_id)
    return (code, REASONS[code].message) if code else None


def require_billable(account: Account) -> None:
    """Raises 402 if the account may not be billed."""
    if code := refusal(account):
        raise ApiError(402, code, REASONS[code].message)
