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
from django.db import transaction
from django.db.models import OuterRef, QuerySet
from django.utils import timezone

from billing.models import BillingConfig, Invoice, PaymentMethod

TIMEOUT_SECONDS = 15


class PaymentsError(Exception):
    """Stripe gave no usable answer: the same step is to be tried again later."""


class Unreachable(PaymentsError):
    """Stripe can't be reached: further requests now would fail as well."""


class Declined(PaymentsError):
    """The card was."""


class Missing(PaymentsError):
    """Stripe has no such object (any more)."""


@dataclass(frozen=True)
class Remote:
    """An invoice, as Stripe has it."""

    id: str
    status: str
    """draft, open, paid, uncollectible or void."""
    cents: int
    was_attempted: bool = False
    """Its payment was tried; Stripe tries again on its own schedule."""
    next_attempt_at: datetime | None = None
    customer: str = ""


@dataclass(frozen=True)
class Credit:
    """A credit note of a paid invoice: so much of it was paid back."""

    id: str
    reference: str
    """The reference of our invoice that it is for; empty: it was created by hand, in Stripe."""
    cents: int


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
    """The account's customer at Stripe; made if there is none (any more). Raises PaymentsError.

    Stripe is asked whether it is still there: the webhook may have been lost, or come before the id did.
    """
    known = config.stripe_customer_id
    if known is not None and getattr(_call(client().v1.customers.retrieve, known), "deleted", False):
        forget_customer(known)
        config.refresh_from_db(fields=["stripe_customer_id", "stripe_generation"])
    if config.stripe_customer_id is None:
        made = _call(
            client().v1.customers.create,
            {"metadata": {"account": str(config.account_id)}},
            key=f"trackly-customer-{config.pk}-{config.stripe_generation}",
        )
        BillingConfig.objects.filter(pk=config.pk, stripe_customer_id=None).update(stripe_customer_id=made.id)
        config.refresh_from_db(fields=["stripe_customer_id"])
    return str(config.stripe_customer_id)


def forget_customer(customer: str) -> bool:
    """It was deleted at Stripe, and with it its cards; False: it is none of ours (any more).

    Its account gets a new customer when one is needed (customer_of), and can't pay until it has a new card.
    """
    with transaction.atomic():
        config = (
            BillingConfig.objects.select_for_update(no_key=True).filter(stripe_customer_id=customer).first()
        )
        if config is None:
            return False
        config.payment_methods.filter(detached_at=None).update(detached_at=timezone.now())
        config.stripe_customer_id, config.stripe_generation = None, config.stripe_generation + 1
        config.save(update_fields=["stripe_customer_id", "stripe_generation"])
    return True


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


def find(stripe_id: str) -> Remote | None:
    """Stripe's invoice of this id; None: it was a draft and was deleted. Raises PaymentsError."""
    try:
        return _remote(_call(client().v1.invoices.retrieve, stripe_id))
    except Missing:
        return None


def find_by_reference(invoice: Invoice, customer: str) -> Remote | None:
    """Stripe's invoice for ours whose id never reached us, if there is one. Raises PaymentsError."""
    listed = _call(client().v1.invoices.list, {"customer": customer, "limit": 100})
    for found in _call(lambda: list(listed.auto_paging_iter())):
        if _reference_of(found) == str(invoice.reference) and found.id != invoice.replaced_id:
            return _remote(found)
    return None


def withdraw(stripe_id: str) -> Remote | None:
    """See to it that an invoice can't be paid any more; how it stands if it has been, else None.

    Raises PaymentsError.
    """
    remote = find(stripe_id)
    if remote is None or remote.status == "void":
        return None
    if remote.status == "paid":
        return remote
    if remote.status == "draft":
        _call(client().v1.invoices.delete, stripe_id)
    else:
        _call(client().v1.invoices.void_invoice, stripe_id, {}, key=f"trackly-void-{stripe_id}")
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
    # In the place of one that was deleted it must be another one, not the answer of the first time.
    place = f"-{invoice.replaced_id}" if invoice.replaced_id else ""
    key = f"trackly-draft-{invoice.reference}-{customer}{place}"
    return _remote(_call(client().v1.invoices.create, params, key=key))


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
    """Try to collect a payable invoice with a card, off session; its state afterwards.

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
                key=f"trackly-pay-{invoice.reference}-{remote.id}-{card}",
            )
        )
    except Declined:
        return _remote(_call(client().v1.invoices.retrieve, remote.id))


def credits_of(stripe_id: str) -> list[Credit]:
    """What was paid back of a paid invoice so far. Raises PaymentsError."""
    listed = _call(client().v1.credit_notes.list, {"invoice": stripe_id, "limit": 100})
    found = _call(lambda: list(listed.auto_paging_iter()))
    return [
        Credit(id=note.id, reference=_reference_of(note), cents=int(note.amount))
        for note in found
        if note.status != "void"
    ]


def pay_back(invoice: Invoice, stripe_id: str, cents: int) -> Credit:
    """Pay so much of a paid invoice back, for ours, to what it was paid with. Raises PaymentsError.

    That is a credit note with a refund: https://docs.stripe.com/invoicing/integration/programmatic-credit-notes.
    """
    params = {
        "invoice": stripe_id,
        "amount": cents,
        "refund_amount": cents,
        "memo": "Credit that was not used",
        "metadata": {"reference": str(invoice.reference), "month": f"{invoice.month:%Y-%m}"},
    }
    key = f"trackly-credit-{invoice.reference}-{stripe_id}"
    note = _call(client().v1.credit_notes.create, params, key=key)
    return Credit(id=note.id, reference=_reference_of(note), cents=int(note.amount))


def _reference_of(found: Any) -> str:
    return str((found.metadata.to_dict() if found.metadata else {}).get("reference", ""))


def _call(function: Any, *arguments: Any, key: str | None = None) -> Any:
    """Raises Declined, Missing, Unreachable, or PaymentsError for anything else that Stripe objects to."""
    try:
        if key is None:
            return function(*arguments)
        return function(*arguments, options={"idempotency_key": key})
    except stripe.StripeError as exc:
        errors = {stripe.CardError: Declined, stripe.APIConnectionError: Unreachable}
        kind = Missing if exc.code == "resource_missing" else errors.get(type(exc), PaymentsError)
        raise kind(f"{type(exc).__name__}: {exc.user_message or exc.code or exc.http_status}") from exc


def _remote(found: Any) -> Remote:
    again = found.next_payment_attempt
    return Remote(
        id=found.id,
        status=str(found.status),
        cents=int(found.total),
        was_attempted=bool(found.attempted),
        next_attempt_at=datetime.fromtimestamp(again, UTC) if again else None,
        customer=str(found.customer or ""),
    )
