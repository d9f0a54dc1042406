"""What Stripe tells us (https://docs.stripe.com/webhooks): checked, taken once, in any order."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
import stripe
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from billing import invoices, payments
from billing.models import BillingConfig, Invoice, PaymentMethod, StripeEvent
from billing.payments import Remote
from core import sql

logger = structlog.get_logger(__name__)

TOLERANCE_SECONDS = 300
"""How old a webhook's signature may be: a replayed one is refused."""
MAX_BYTES = 1_000_000
"""Of an event; Stripe's have some thousand."""

_Id = Annotated[str, msgspec.Meta(max_length=64, pattern="^[!-~]+$")]
_Moment = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds since 1970, as far as a datetime goes."""

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(%(about)s::text, 0))"
_DETACHED = "payment_method.detached"


class _About(msgspec.Struct):
    object: dict[str, Any]


class _Named(msgspec.Struct):
    id: _Id


class _Event(msgspec.Struct):
    id: _Id
    type: str
    created: _Moment
    data: _About


@csrf_exempt
def receive(request: HttpRequest) -> HttpResponse:
    """`POST /webhooks/stripe`: 200 once it has taken effect (or is of no interest), 400, 413 if not Stripe's.

    Anything else, such as 503 without the database, makes Stripe send it again.
    """
    if request.method != "POST":
        refused = _answer(405, "method_not_allowed", "Stripe posts here.")
        refused["Allow"] = "POST"
        return refused
    if not settings.STRIPE_WEBHOOK_SECRET:
        return _answer(404, "not_found", "Stripe is not set up.")
    declared = request.META.get("CONTENT_LENGTH") or "0"
    body = request.read(MAX_BYTES + 1) if declared.isdigit() and int(declared) <= MAX_BYTES else None
    if body is None or len(body) > MAX_BYTES:
        return _answer(413, "payload_too_large", f"An event has at most {MAX_BYTES:,} bytes.")
    signature = request.headers.get("Stripe-Signature", "")
    try:
        stripe.WebhookSignature.verify_header(
            body.decode(), signature, settings.STRIPE_WEBHOOK_SECRET, TOLERANCE_SECONDS
        )
    except (stripe.SignatureVerificationError, UnicodeDecodeError, TypeError):  # TypeError: not ASCII
        logger.warning("webhook_refused")  # if it is Stripe's, STRIPE_WEBHOOK_SECRET is wrong
        return _answer(400, "invalid_signature", "The signature is not Stripe's, or too old.")
    try:
        event = msgspec.json.decode(body, type=_Event)
        outcome = take(event)
    except (msgspec.MsgspecError, RecursionError):
        return _answer(400, "invalid_json", "This is no event, or not about what its type says.")
    return JsonResponse({"received": True, "outcome": outcome})


def _answer(status: int, code: str, message: str) -> HttpResponse:
    return JsonResponse({"error": message, "code": code}, status=status)


def take(event: _Event) -> str:
    """Let an event take effect, once: `applied`, `duplicate` or `ignored`. Raises MsgspecError.

    Handlers learn whether something newer about the same object was told before.
    """
    handle = _HANDLERS.get(event.type)
    if handle is None:
        return "ignored"
    object_id = msgspec.convert(event.data.object, _Named).id
    created_at = datetime.fromtimestamp(event.created, UTC)
    with transaction.atomic():
        sql.rows(_ONE_AT_A_TIME, {"about": object_id})
        values = {"type": event.type, "object_id": object_id, "created_at": created_at}
        _, is_new = StripeEvent.objects.get_or_create(stripe_id=event.id, defaults=values)
        if not is_new:
            return "duplicate"
        is_late = StripeEvent.objects.filter(object_id=object_id, created_at__gt=created_at).exists()
        if handle(event.data.object, is_late):
            return "applied"
        transaction.set_rollback(True)  # sent again when we know what it is about, it counts
        return "ignored"


class _Invoice(msgspec.Struct):
    id: _Id
    status: str
    total: int = 0
    attempted: bool = True
    next_payment_attempt: _Moment | None = None
    metadata: dict[str, str] | None = None


def _invoice(about: dict[str, Any], is_late: bool) -> bool:
    """Paid, failed, voided: what is for good stays, so the order of events does not matter.

    Stripe's invoice that was replaced is withdrawn by us (billing.invoices): ours goes on without it, unless
    it was paid just before.
    """
    found = msgspec.convert(about, _Invoice)
    ours = Invoice.objects.filter(Q(stripe_id=found.id) | Q(replaced_id=found.id, stripe_id=None)).first()
    if ours is None and (reference := _uuid((found.metadata or {}).get("reference"))):
        ours = Invoice.objects.filter(reference=reference, stripe_id=None).first()  # before its id came
    if ours is None:
        logger.warning("invoice_unknown", stripe_id=found.id)
        return False
    if found.status != "paid" and ours.replaced_id == found.id:
        return True
    if is_late and found.status not in invoices.SETTLED:  # what came after it is known
        return True
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
    id: _Id
    type: str = ""
    customer: str | None = None
    card: _Card | None = None


def _attached(about: dict[str, Any], is_late: bool) -> bool:
    """A customer gave a card (or another way to pay); one that was detached already stays so."""
    found = msgspec.convert(about, _Method)
    # Locked: the customer may be deleted at this moment, and with it its cards.
    configs = BillingConfig.objects.select_for_update(no_key=True)
    config = configs.filter(stripe_customer_id=found.customer or "").first()
    if config is None:
        logger.warning("customer_unknown", stripe_id=found.customer)
        return False
    card = found.card or _Card(brand=found.type)
    values = {"billing": config, "brand": card.brand[:32], "last_four": card.last4[:4]}
    method, is_new = PaymentMethod.objects.get_or_create(stripe_id=found.id, defaults=values)
    if not is_new and not is_late:
        for name, value in values.items():
            setattr(method, name, value)
    if StripeEvent.objects.filter(type=_DETACHED, object_id=found.id).exists():  # told before
        method.detached_at = method.detached_at or timezone.now()
    method.save()
    return True


def _detached(about: dict[str, Any], _: bool) -> bool:
    """It can't be used any more, ever (https://docs.stripe.com/api/payment_methods/detach)."""
    PaymentMethod.objects.filter(stripe_id=about.get("id"), detached_at=None).update(
        detached_at=timezone.now()
    )
    return True


def _customer_deleted(about: dict[str, Any], _: bool) -> bool:
    """Its cards went with it. Invoices that it has not paid are made anew for the next one (collect)."""
    return payments.forget_customer(msgspec.convert(about, _Named).id)


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


_HANDLERS: dict[str, Callable[[dict[str, Any], bool], bool]] = {
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
