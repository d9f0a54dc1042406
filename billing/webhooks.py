"""What Stripe tells us (https://docs.stripe.com/webhooks): checked, taken once, in any order."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import stripe
import structlog
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from billing import invoices
from billing.models import BillingConfig, Invoice, PaymentMethod, StripeEvent
from billing.payments import Remote
from trackly import sql

logger = structlog.get_logger(__name__)

TOLERANCE_SECONDS = 300
"""How old a webhook's signature may be: one that somebody kept is refused."""


_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(%(about)s::text, 0))"
_DETACHED = "payment_method.detached"


class _About(msgspec.Struct):
    object: dict[str, Any]


class _Event(msgspec.Struct):
    id: str
    type: str
    created: int
    data: _About


@csrf_exempt
def receive(request: HttpRequest) -> HttpResponse:
    """`POST /webhooks/stripe`: 200 once it has taken effect (or is of no interest), 400 if not Stripe's.

    Anything else, such as 503 without the database, makes Stripe send it again.
    """
    if request.method != "POST":
        return _answer(405, "method_not_allowed", "Stripe posts here.")
    if not settings.STRIPE_WEBHOOK_SECRET:
        return _answer(404, "not_found", "Stripe is not set up.")
    body, signature = request.body, request.headers.get("Stripe-Signature", "")
    try:
        stripe.WebhookSignature.verify_header(
            body.decode(), signature, settings.STRIPE_WEBHOOK_SECRET, TOLERANCE_SECONDS
        )
    except (stripe.SignatureVerificationError, UnicodeDecodeError, TypeError):  # TypeError: not ASCII
        return _answer(400, "invalid_signature", "The signature is not Stripe's, or too old.")
    try:
        event = msgspec.json.decode(body, type=_Event)
        outcome = take(event)
    except msgspec.MsgspecError:
        return _answer(400, "invalid_json", "This is no event, or not about what its type says.")
    return JsonResponse({"received": True, "outcome": outcome})


def _answer(status: int, code: str, message: str) -> HttpResponse:
    return JsonResponse({"error": message, "code": code}, status=status)


def take(event: _Event) -> str:
    """Let an event take effect, once: `applied`, `duplicate` or `ignored`."""
    handle = _HANDLERS.get(event.type)
    if handle is None:
        return "ignored"
    object_id = str(event.data.object.get("id", ""))[:64]
    with transaction.atomic():
        sql.rows(_ONE_AT_A_TIME, {"about": object_id})
        values = {
            "type": event.type,
            "object_id": object_id,
            "created_at": datetime.fromtimestamp(event.created, UTC),
        }
        _, is_new = StripeEvent.objects.get_or_create(stripe_id=event.id, defaults=values)
        if not is_new:
            return "duplicate"
        if handle(event.data.object):
            return "applied"
        transaction.set_rollback(True)  # sent again when we know what it is about, it counts
        return "ignored"


class _Invoice(msgspec.Struct):
    id: str
    status: str
    total: int = 0
    attempted: bool = True
    next_payment_attempt: int | None = None
    metadata: dict[str, str] | None = None


def _invoice(about: dict[str, Any]) -> bool:
    """Paid, failed, voided: what is for good stays, so the order of events does not matter."""
    found = msgspec.convert(about, _Invoice)
    ours = Invoice.objects.filter(stripe_id=found.id).first()
    if ours is None and (reference := _uuid((found.metadata or {}).get("reference"))):
        ours = Invoice.objects.filter(reference=reference, stripe_id=None).first()  # before its id came
    if ours is None:
        logger.warning("invoice_unknown", stripe_id=found.id)
        return False
    again = found.next_payment_attempt
    remote = Remote(
        id=found.id,
        status=found.status,
        cents=found.total,
        was_attempted=found.attempted,
        next_attempt_at=datetime.fromtimestamp(again, UTC) if again else None,
    )
    invoices.record(ours.pk, remote)
    return True


class _Card(msgspec.Struct):
    brand: str = ""
    last4: str = ""


class _Method(msgspec.Struct):
    id: str
    type: str = ""
    customer: str | None = None
    card: _Card | None = None


def _attached(about: dict[str, Any]) -> bool:
    """A customer gave a card (or another way to pay); one that was detached already stays so."""
    found = msgspec.convert(about, _Method)
    config = BillingConfig.objects.filter(stripe_customer_id=found.customer or "").first()
    if config is None:
        logger.warning("customer_unknown", stripe_id=found.customer)
        return False
    card = found.card or _Card(brand=found.type)
    values = {"billing": config, "brand": card.brand[:32], "last_four": card.last4[:4]}
    method, is_new = PaymentMethod.objects.get_or_create(stripe_id=found.id, defaults=values)
    if not is_new:
        for name, value in values.items():
            setattr(method, name, value)
    if StripeEvent.objects.filter(type=_DETACHED, object_id=found.id).exists():  # told before
        method.detached_at = method.detached_at or timezone.now()
    method.save()
    return True


def _detached(about: dict[str, Any]) -> bool:
    """It can't be used any more, ever (https://docs.stripe.com/api/payment_methods/detach)."""
    PaymentMethod.objects.filter(stripe_id=about.get("id"), detached_at=None).update(
        detached_at=timezone.now()
    )
    return True


def _customer_deleted(about: dict[str, Any]) -> bool:
    config = BillingConfig.objects.filter(stripe_customer_id=about.get("id")).first()
    if config is None:
        return False
    config.payment_methods.filter(detached_at=None).update(detached_at=timezone.now())
    config.stripe_customer_id, config.stripe_generation = None, config.stripe_generation + 1
    config.save(update_fields=["stripe_customer_id", "stripe_generation"])
    return True


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


_HANDLERS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "invoice.paid": _invoice,
    "invoice.payment_failed": _invoice,
    "invoice.voided": _invoice,
    "invoice.marked_uncollectible": _invoice,
    "payment_method.attached": _attached,
    "payment_method.updated": _attached,
    "payment_method.automatically_updated": _attached,
    _DETACHED: _detached,
    "customer.deleted": _customer_deleted,
}
