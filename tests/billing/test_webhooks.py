"""What Stripe tells us: signed, once, in any order."""

import json
import time
from itertools import permutations
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from billing.models import BillingConfig, Invoice, PaymentMethod, StripeEvent
from tests.billing.test_invoices import OCTOBER
from tests.support import new_account
from trackly.sandbox.server import WEBHOOK_SECRET
from trackly.sandbox.stripe import event, signature

pytestmark = pytest.mark.django_db


@pytest.fixture
def config() -> BillingConfig:
    account, _ = new_account()
    return BillingConfig.objects.create(account=account, stripe_customer_id="cus_1")


@pytest.fixture
def invoice(config: BillingConfig) -> Invoice:
    return Invoice.objects.create(
        account=config.account, month=OCTOBER, micro_dollars=1_000_000, cents=100, stripe_id="in_1"
    )


def post(client: Client, body: bytes, header: str | None = None) -> Any:
    given = signature(body, WEBHOOK_SECRET) if header is None else header
    return client.post(
        "/webhooks/stripe", body, content_type="application/json", headers={"Stripe-Signature": given}
    )


def send(client: Client, kind: str, about: dict[str, Any]) -> str:
    response = post(client, event(kind, about))
    assert response.status_code == 200
    outcome: str = response.json()["outcome"]
    return outcome


def state(invoice: Invoice) -> tuple[str, str]:
    """The invoice's, and the account's."""
    invoice.refresh_from_db()
    return invoice.status, BillingConfig.objects.get(account=invoice.account_id).status


CARD = {
    "id": "pm_1",
    "type": "card",
    "customer": "cus_1",
    "card": {"brand": "visa", "last4": "4242", "fingerprint": "never kept"},
}
PAID = ("invoice.paid", {"id": "in_1", "status": "paid", "total": 100, "attempted": True})
FAILED = (
    "invoice.payment_failed",
    {"id": "in_1", "status": "open", "attempted": True, "next_payment_attempt": 1_900_000_000},
)
VOIDED = ("invoice.voided", {"id": "in_1", "status": "void", "attempted": True})
LOST = ("invoice.marked_uncollectible", {"id": "in_1", "status": "uncollectible", "attempted": True})


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (event(*PAID), ""),
        (event(*PAID), "nonsense"),
        (event(*PAID), "t=1,v1=00"),
        (event(*PAID), "t=1,v1=\u00e9"),
        (event(*PAID), None),  # signed with another secret, below
        (b"\xff\xfe", ""),
    ],
)
def test_what_stripe_did_not_sign_is_refused(
    client: Client, invoice: Invoice, body: bytes, header: str | None
) -> None:
    refused = post(client, body, signature(body, "whsec_other") if header is None else header)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_signature")
    assert state(invoice) == ("pending", "active")
    assert not StripeEvent.objects.exists()


def test_a_changed_body_is_refused(client: Client, invoice: Invoice) -> None:
    body = event(*FAILED)
    refused = post(client, body.replace(b"in_1", b"in_2"), signature(body, WEBHOOK_SECRET))
    assert refused.status_code == 400


@pytest.mark.parametrize(("age", "status"), [(0, 200), (290, 200), (310, 400), (86_400, 400)])
def test_a_webhook_that_somebody_kept_is_refused(
    client: Client, invoice: Invoice, age: int, status: int
) -> None:
    body = event(*PAID)
    given = post(client, body, signature(body, WEBHOOK_SECRET, at=time.time() - age))
    assert given.status_code == status
    assert state(invoice)[0] == ("paid" if status == 200 else "pending")


def test_the_same_one_again_does_nothing(client: Client, invoice: Invoice) -> None:
    body = event(*FAILED)
    assert post(client, body).json()["outcome"] == "applied"
    Invoice.objects.update(status="pending")
    assert post(client, body).json()["outcome"] == "duplicate"
    assert state(invoice)[0] == "pending"
    assert StripeEvent.objects.count() == 1


def test_a_type_of_no_interest_is_answered_and_changes_nothing(client: Client, invoice: Invoice) -> None:
    assert send(client, "charge.refunded", {"id": "ch_1"}) == "ignored"
    assert send(client, "invoice.paid", {**PAID[1], "id": "in_of_somebody_else"}) == "ignored"
    assert state(invoice) == ("pending", "active")


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"id":1}', b"not json"])
def test_a_signed_body_that_is_no_event_is_refused(client: Client, body: bytes) -> None:
    refused = post(client, body)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_json")


def test_a_signed_event_that_is_not_about_what_it_says_is_refused(client: Client) -> None:
    refused = post(client, event("invoice.paid", {"id": 7}))
    assert (refused.status_code, StripeEvent.objects.count()) == (400, 0)


def test_what_meant_nothing_yet_counts_when_it_is_sent_again(client: Client, config: BillingConfig) -> None:
    BillingConfig.objects.update(stripe_customer_id=None)
    body = event("payment_method.attached", CARD)
    assert post(client, body).json()["outcome"] == "ignored"
    BillingConfig.objects.update(stripe_customer_id="cus_1")
    assert post(client, body).json()["outcome"] == "applied"
    assert PaymentMethod.objects.count() == 1


def test_an_amount_that_is_not_ours_is_not_taken_for_paid(client: Client, invoice: Invoice) -> None:
    send(client, PAID[0], {**PAID[1], "total": 1})
    assert state(invoice) == ("pending", "active")


def test_nobody_else_posts_or_gets_here(client: Client, settings: Any) -> None:
    assert client.get("/webhooks/stripe").status_code == 405
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert post(client, event(*PAID)).status_code == 404


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([FAILED], ("failed", "payment_failed")),
        ([FAILED, FAILED], ("failed", "payment_failed")),
        ([PAID], ("paid", "active")),
        ([FAILED, LOST], ("failed", "payment_failed")),
        *((list(order), ("paid", "active")) for order in permutations([FAILED, FAILED, PAID])),
        *((list(order), ("void", "active")) for order in permutations([FAILED, VOIDED])),
    ],
)
def test_how_invoices_end_does_not_depend_on_the_order(
    client: Client, invoice: Invoice, events: list[Any], expected: tuple[str, str]
) -> None:
    for kind, about in events:
        send(client, kind, about)
    assert state(invoice) == expected


def test_one_of_two_failed_invoices_that_is_paid_does_not_clear_the_account(
    client: Client, invoice: Invoice
) -> None:
    second = Invoice.objects.create(
        account=invoice.account, month="2026-09-01", micro_dollars=1, cents=100, stripe_id="in_2"
    )
    for stripe_id in ("in_1", "in_2"):
        send(client, FAILED[0], {**FAILED[1], "id": stripe_id})
    send(client, *PAID)
    assert state(invoice) == ("paid", "payment_failed")
    send(client, PAID[0], {**PAID[1], "id": "in_2"})
    assert state(second) == ("paid", "active")


def test_what_was_suspended_by_hand_stays_suspended(client: Client, invoice: Invoice) -> None:
    BillingConfig.objects.update(status="suspended")
    for kind, about in (FAILED, PAID):
        send(client, kind, about)
        assert state(invoice)[1] == "suspended"


def test_an_invoice_whose_id_has_not_reached_us_is_known_by_its_metadata(
    client: Client, invoice: Invoice
) -> None:
    Invoice.objects.update(stripe_id=None)
    assert send(client, PAID[0], {**PAID[1], "metadata": {"reference": str(invoice.reference)}}) == "applied"
    invoice.refresh_from_db()
    assert (invoice.status, invoice.stripe_id) == ("paid", "in_1")


def test_a_card_comes_changes_and_goes(client: Client, config: BillingConfig) -> None:
    send(client, "payment_method.attached", CARD)
    method = PaymentMethod.objects.get()
    assert (method.billing, method.brand, method.last_four, method.detached_at) == (
        config,
        "visa",
        "4242",
        None,
    )
    send(client, "payment_method.automatically_updated", {**CARD, "card": {"brand": "visa", "last4": "1881"}})
    send(client, "payment_method.detached", {**CARD, "customer": None})
    method.refresh_from_db()
    assert method.last_four == "1881"
    assert method.detached_at is not None


def test_a_card_that_went_before_we_heard_of_it_is_not_usable(client: Client, config: BillingConfig) -> None:
    send(client, "payment_method.detached", {**CARD, "customer": None})
    send(client, "payment_method.attached", CARD)
    assert PaymentMethod.objects.get().detached_at is not None


def test_a_card_of_an_unknown_customer_is_nobodys(client: Client, config: BillingConfig) -> None:
    assert send(client, "payment_method.attached", {**CARD, "customer": "cus_2"}) == "ignored"
    assert not PaymentMethod.objects.exists()


def test_a_customer_deleted_at_stripe_has_no_cards_left(client: Client, config: BillingConfig) -> None:
    send(client, "payment_method.attached", CARD)
    send(client, "customer.deleted", {"id": "cus_1"})
    config.refresh_from_db()
    assert config.stripe_customer_id is None
    assert PaymentMethod.objects.get().detached_at is not None


def test_an_event_that_could_not_take_effect_is_taken_when_it_comes_again(
    client: Client, invoice: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = event(*PAID)

    def broken(*_: Any) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr("billing.invoices.record", broken)
        client.raise_request_exception = False
        assert post(client, body).status_code >= 500
    assert post(client, body).json()["outcome"] == "applied"
    assert state(invoice)[0] == "paid"


def test_no_card_data_is_kept(client: Client, config: BillingConfig) -> None:
    send(client, "payment_method.attached", CARD)
    kept = json.dumps(list(PaymentMethod.objects.values()) + list(StripeEvent.objects.values()), default=str)
    assert "never kept" not in kept
