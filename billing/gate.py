"""The 402 gate (contract, "POST /contacts/bulk"): may this account be billed."""

from django.db.models import Exists, OuterRef

from billing.models import BillingConfig, BillingStatus, Invoice, InvoiceStatus, PaymentMethod
from trackly.accounts.models import Account
from trackly.api.errors import ApiError

_MESSAGES = {
    "no_billing_config": "use_validation needs billing, which is not set up for this account.",
    "no_payment_method": "use_validation needs a payment method, and this account has none.",
    "payment_failed": "The account's last payment failed; use_validation is off until one succeeds.",
    "suspended": "Billing is suspended for this account; use_validation is off.",
}


def refusal(account: Account) -> str | None:
    """Why the account may not be billed, or None. One query.

    The first that applies, in the contract's order: `no_billing_config`, `no_payment_method`,
    `payment_failed`, `suspended`.
    """
    usable = PaymentMethod.objects.filter(billing=OuterRef("pk"), detached_at=None)
    failed = Invoice.objects.filter(account=account, status=InvoiceStatus.FAILED)
    found = (
        BillingConfig.objects.filter(account=account)
        .annotate(can_pay=Exists(usable), owes=Exists(failed))
        .values_list("status", "can_pay", "owes")
        .first()
    )
    if found is None:
        return "no_billing_config"
    status, can_pay, owes = found
    if not can_pay:
        return "no_payment_method"
    if status == BillingStatus.ACTIVE and owes:  # whatever has been written into the state by hand
        return str(BillingStatus.PAYMENT_FAILED)
    return None if status == BillingStatus.ACTIVE else status


def require_billable(account: Account) -> None:
    """Raises 402 if the account may not be billed."""
    if code := refusal(account):
        raise ApiError(402, code, _MESSAGES[code])
