"""Stripe: https://docs.stripe.com/api, by its own library. Nothing else of ours talks to it.

Every call that changes something bears an idempotency key of ours, so a call whose answer was lost is
repeated without effect. Card data never comes here: customers type it in at Stripe's (Checkout in setup
mode).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import stripe
from django.conf import settings
from django.db.models import OuterRef, QuerySet

from billing.models import BillingConfig, Invoice, PaymentMethod

TIMEOUT_SECONDS = 15


class PaymentsError(Exception):
    """Stripe gave no usable answer: the same step is to be tried again later."""


class Unreachable(PaymentsError):
    """Nobody is there: to ask about anything else now is in vain."""


class Declined(PaymentsError):
    """The card was."""


@dataclass(frozen=True)
class Remote:
    """An invoice, as Stripe has it."""

    id: str
    status: str
    """draft, open, paid, uncollectible or void."""
    cents: int
    was_attempted: bool
    """Its payment was tried; Stripe tries again on its own schedule."""
    next_attempt_at: datetime | None


@cache
def _client(key: str, url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": url},
        http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        max_network_retries=2,
    )


def client() -> stripe.StripeClient:
    """The library's client. Raises PaymentsError where Stripe is not set up."""
    if not settings.STRIPE_API_KEY:
        raise PaymentsError("STRIPE_API_KEY is not set.")
    return _client(settings.STRIPE_API_KEY, settings.STRIPE_URL)


def customer_of(config: BillingConfig) -> str:
    """The account's customer at Stripe; made if there is none yet. Raises PaymentsError."""
    if config.stripe_customer_id is None:
        made = _call(
            client().v1.customers.create,
            {"metadata": {"account": str(config.account_id)}},
            key=f"trackly-customer-{config.pk}-{config.stripe_generation}",
        )
        BillingConfig.objects.filter(pk=config.pk, stripe_customer_id=None).update(stripe_customer_id=made.id)
        config.refresh_from_db(fields=["stripe_customer_id"])
    return str(config.stripe_customer_id)


def setup_url(config: BillingConfig, *, return_to: str, once: str) -> str:
    """Where the customer gives Stripe a card (Checkout, setup mode). Raises PaymentsError.

    `once`: what makes this link another one than the last.
    """
    params = {
        "mode": "setup",
        "payment_method_types": ["card"],  # what takes days to be debited would count as failed meanwhile
        "customer": customer_of(config),
        "success_url": return_to,
    }
    session = _call(client().v1.checkout.sessions.create, params, key=f"trackly-setup-{config.pk}-{once}")
    return str(session.url)


def cards_of(account: int | OuterRef) -> QuerySet[PaymentMethod, str | None]:
    """Stripe's ids of an account's cards that can be used, the newest first."""
    usable = PaymentMethod.objects.filter(billing__account=account, detached_at=None, stripe_id__isnull=False)
    return usable.order_by("-created_at", "-pk").values_list("stripe_id", flat=True)


def find(invoice: Invoice, customer: str) -> Remote | None:
    """Stripe's invoice for ours, if there is one: also if its id never reached us. Raises PaymentsError."""
    if invoice.stripe_id:
        return _remote(_call(client().v1.invoices.retrieve, invoice.stripe_id))
    listed = _call(client().v1.invoices.list, {"customer": customer, "limit": 100})
    for found in _call(lambda: list(listed.auto_paging_iter())):
        if (found.metadata.to_dict() if found.metadata else {}).get("reference") == str(invoice.reference):
            return _remote(found)
    return None


def draft(invoice: Invoice, customer: str) -> Remote:
    """Make Stripe's invoice for ours. Raises PaymentsError."""
    params = {
        "customer": customer,
        "currency": "usd",
        "collection_method": "charge_automatically",
        "auto_advance": False,  # else Stripe would finalize it in an hour, filled or not
        "pending_invoice_items_behavior": "exclude",
        "metadata": {"reference": str(invoice.reference), "month": f"{invoice.month:%Y-%m}"},
    }
    return _remote(
        _call(client().v1.invoices.create, params, key=f"trackly-draft-{invoice.reference}-{customer}")
    )


def fill(invoice: Invoice, remote: Remote, customer: str) -> Remote:
    """Put the month's amount on an empty draft. Raises PaymentsError."""
    params = {
        "customer": customer,
        "invoice": remote.id,
        "amount": invoice.cents,
        "currency": "usd",
        "description": f"Number validation, {invoice.month:%B %Y}",
    }
    _call(client().v1.invoice_items.create, params, key=f"trackly-line-{invoice.reference}-{remote.id}")
    return _remote(_call(client().v1.invoices.retrieve, remote.id))


def finalize(invoice: Invoice, remote: Remote) -> Remote:
    """Make a draft payable; from here on Stripe tries failed payments again. Raises PaymentsError."""
    key = f"trackly-finalize-{invoice.reference}-{remote.id}"
    return _remote(_call(client().v1.invoices.finalize_invoice, remote.id, {"auto_advance": True}, key=key))


def pay(invoice: Invoice, remote: Remote, customer: str, card: str) -> Remote:
    """Try to collect a payable one with a card, with nobody present; how it stands then.

    The card is the customer's default from then on: Stripe tries again with it. Raises PaymentsError.
    """
    settings_of = {"name": invoice.account.name, "invoice_settings": {"default_payment_method": card}}
    _call(client().v1.customers.update, customer, settings_of)
    try:
        return _remote(
            _call(
                client().v1.invoices.pay,
                remote.id,
                {"off_session": True, "payment_method": card},
                key=f"trackly-pay-{invoice.reference}-{card}",
            )
        )
    except Declined:
        return _remote(_call(client().v1.invoices.retrieve, remote.id))


def _call(function: Any, *arguments: Any, key: str | None = None) -> Any:
    """Raises Declined, Unreachable, or PaymentsError for anything else that Stripe has against it."""
    try:
        if key is None:
            return function(*arguments)
        return function(*arguments, options={"idempotency_key": key})
    except stripe.StripeError as exc:
        errors = {stripe.CardError: Declined, stripe.APIConnectionError: Unreachable}
        said = f"{type(exc).__name__}: {exc.user_message or exc.code or exc.http_status}"
        raise errors.get(type(exc), PaymentsError)(said) from exc


def _remote(found: Any) -> Remote:
    again = found.next_payment_attempt
    return Remote(
        id=found.id,
        status=str(found.status),
        cents=int(found.total),
        was_attempted=bool(found.attempted),
        next_attempt_at=datetime.fromtimestamp(again, UTC) if again else None,
    )
