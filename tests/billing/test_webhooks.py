"""What Stripe tells us: signed, once, in any order."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client

from billing import gate, invoices, payments, webhooks
from billing.models import BillingConfig, Invoice, PaymentMethod, StripeEvent
from core import sql
from devstack.sandbox.server import WEBHOOK_SECRET, Stub
from devstack.sandbox.stripe import event, signature
from tests.billing.test_invoices import OCTOBER, at_stripe, close, delete, in_month, owe
from tests.support import eventually, new_account

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


def test_a_body_that_no_event_has_is_not_read(client: Client, invoice: Invoice) -> None:
    about = {**PAID[1], "padding": "x" * (webhooks.MAX_BYTES - 400)}
    assert send(client, PAID[0], {**about, "id": "in_2"}) == "ignored"
    refused = post(client, event(PAID[0], {**about, "more": "x" * 400}))
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
    assert state(invoice)[0] == "pending"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "evt_\0"},
        {"id": "evt_" + "1" * 61},
        {"id": ""},
        {"created": 10**30},
        {"created": -1},
        {"data": {"object": {**PAID[1], "id": "in_\0"}}},
        {"data": {"object": {**PAID[1], "id": ""}}},
        {"data": {"object": {"status": "paid"}}},
        {"data": {"object": {**PAID[1], "next_payment_attempt": 10**15}}},
        {"data": {"object": {**PAID[1], "metadata": {"reference": 7}}}},
    ],
)
def test_a_signed_event_that_can_not_be_stored_is_refused(
    client: Client, invoice: Invoice, change: dict[str, Any]
) -> None:
    body = json.dumps({**json.loads(event(*PAID)), **change}).encode()
    refused = post(client, body)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_json")
    assert (state(invoice)[0], StripeEvent.objects.count()) == ("pending", 0)


def test_a_signed_body_that_is_nested_without_end_is_refused(client: Client) -> None:
    refused = post(client, b'{"data":' + b"[" * 400_000)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_json")


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
    refused = client.get("/webhooks/stripe")
    assert (refused.status_code, refused["Allow"]) == (405, "POST")
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


def test_what_comes_late_does_not_undo_what_came_after_it(
    client: Client, config: BillingConfig, invoice: Invoice
) -> None:
    now = int(time.time())

    def told(kind: str, about: dict[str, Any], seconds_ago: int) -> None:
        body = {**json.loads(event(kind, about)), "created": now - seconds_ago}
        assert post(client, json.dumps(body).encode()).json()["outcome"] == "applied"

    told("payment_method.updated", {**CARD, "card": {"brand": "visa", "last4": "1881"}}, 10)
    told("payment_method.attached", CARD, 20)
    assert PaymentMethod.objects.get().last_four == "1881"
    told(FAILED[0], {**FAILED[1], "next_payment_attempt": 1_900_000_000}, 10)
    told(FAILED[0], {**FAILED[1], "next_payment_attempt": 1_800_000_000}, 20)
    invoice.refresh_from_db()
    assert invoice.next_attempt_at is not None
    assert invoice.next_attempt_at.timestamp() == 1_900_000_000
    told(PAID[0], PAID[1], 30)
    assert state(invoice) == ("paid", "active")


def test_a_card_of_an_unknown_customer_is_nobodys(client: Client, config: BillingConfig) -> None:
    assert send(client, "payment_method.attached", {**CARD, "customer": "cus_2"}) == "ignored"
    assert not PaymentMethod.objects.exists()


def test_a_customer_deleted_at_stripe_has_no_cards_left(client: Client, config: BillingConfig) -> None:
    send(client, "payment_method.attached", CARD)
    send(client, "customer.deleted", {"id": "cus_1"})
    config.refresh_from_db()
    assert config.stripe_customer_id is None
    assert PaymentMethod.objects.get().detached_at is not None


DELETED = ("customer.deleted", {"id": "cus_1"})


@pytest.mark.parametrize("order", list(permutations([FAILED, VOIDED, DELETED, LOST])))
def test_the_end_of_an_invoice_that_was_replaced_is_not_the_end_of_ours(
    client: Client, config: BillingConfig, invoice: Invoice, order: Any
) -> None:
    """Its customer was deleted, so another is about to be made, and the old one is withdrawn by us."""
    Invoice.objects.update(status="failed", stripe_id=None, replaced_id="in_1")
    for kind, about in (*order, *order):
        send(client, kind, {**about, "metadata": {"reference": str(invoice.reference)}})
    assert state(invoice)[0] == "failed"
    assert (invoice.stripe_id, invoice.replaced_id) == (None, "in_1")
    Invoice.objects.update(stripe_id="in_2")
    for kind, about in order:
        send(client, kind, {**about, "metadata": {"reference": str(invoice.reference)}})
    assert (state(invoice)[0], invoice.stripe_id) == ("failed", "in_2")
    send(client, PAID[0], {**PAID[1], "id": "in_2"})
    assert state(invoice) == ("paid", "active")


def test_one_that_was_paid_before_it_could_be_withdrawn_is_paid(client: Client, invoice: Invoice) -> None:
    Invoice.objects.update(status="failed", stripe_id=None, replaced_id="in_1")
    send(client, *PAID)
    assert (state(invoice), invoice.stripe_id) == (("paid", "active"), "in_1")


def test_after_its_customer_was_deleted_an_account_can_pay_with_a_new_card(
    client: Client, config: BillingConfig, stub: Stub
) -> None:
    account = config.account
    BillingConfig.objects.update(stripe_customer_id=None)
    owe(account, 1_000_000, in_month(OCTOBER))
    close(OCTOBER)
    PaymentMethod.objects.create(billing=config, brand="visa", last_four="1", stripe_id="pm_declined")
    stub.stripe.declined = {"pm_declined"}
    invoices.collect_open()
    assert gate.refusal(account) == "payment_failed"
    config.refresh_from_db()
    first = str(config.stripe_customer_id)
    delete(stub, "customers", first)
    for _ in range(2):
        send(client, "customer.deleted", {"id": first})
    assert gate.refusal(account) == "no_payment_method"
    config.refresh_from_db()
    second = payments.customer_of(config)
    send(client, "customer.deleted", {"id": first})  # late, and of no meaning for the second
    send(client, "payment_method.attached", {**CARD, "id": "pm_late", "customer": first})
    send(client, "payment_method.attached", {**CARD, "id": "pm_new", "customer": second})
    assert list(PaymentMethod.objects.filter(detached_at=None).values_list("stripe_id", flat=True)) == [
        "pm_new"
    ]
    invoices.collect_open()
    assert gate.refusal(account) is None
    assert Invoice.objects.get().status == "paid"
    assert [status for _, status in at_stripe(stub)] == ["void", "paid"]


@pytest.mark.django_db(transaction=True)
def test_a_card_that_comes_while_its_customer_is_deleted_is_not_usable(
    client: Client, config: BillingConfig
) -> None:
    outcomes: list[str] = []

    def attach() -> None:
        try:
            outcomes.append(send(Client(), "payment_method.attached", CARD))
        finally:
            connection.close()

    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert payments.forget_customer("cus_1")
            attaching = pool.submit(attach)
            eventually(lambda: attaching.done() or sql.rows(waits, {})[0]["count"])
        attaching.result()
    assert outcomes == ["ignored"]
    assert not PaymentMethod.objects.filter(detached_at=None).exists()


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
