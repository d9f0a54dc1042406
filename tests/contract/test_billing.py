"""What a client is charged, and when it may not be, over HTTP."""

import json
import secrets

import httpx
import pytest

from devstack.sandbox.server import WEBHOOK_SECRET
from devstack.sandbox.stripe import event, signature
from tests.conftest import RunningStack
from tests.support import contact, new_numbers


def tell(stack: RunningStack, kind: str, **about: object) -> None:
    """A webhook of Stripe's."""
    body = event(kind, dict(about))
    headers = {"Stripe-Signature": signature(body, WEBHOOK_SECRET), "Content-Type": "application/json"}
    sent = httpx.post(f"{stack.base}/webhooks/stripe", content=body, headers=headers, trust_env=False)
    assert (sent.status_code, sent.json()["outcome"]) == (200, "applied")


def test_the_months_usage_adds_up(any_stack: RunningStack) -> None:
    api, numbers = any_stack.account("--billing", "active"), new_numbers(4)
    nothing = {"validations": 0, "cached": 0, "cost": "0.000000"}
    assert api.get("/usage").json().items() >= nothing.items()
    api.summary(*(contact(number, use_validation=True) for number in numbers), contact())
    api.summary(*(contact(number, use_validation=True) for number in [*numbers, numbers[0]]))
    api.post("/contacts/bulk?dry_run=true", json={"contacts": [contact(numbers[0], use_validation=True)]})
    month = api.get("/usage").json()
    assert {name: month[name] for name in nothing} == {"validations": 4, "cached": 5, "cost": "0.012000"}
    assert api.get("/usage", params={"month": month["month"]}).json() == month
    assert api.get("/usage", params={"month": "2020-01"}).json() == {"month": "2020-01", **nothing}
    assert any_stack.account().get("/usage").json()["cost"] == "0.000000"
    wrong = api.get("/usage", params={"month": "January"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_parameter")


@pytest.mark.parametrize(
    ("billing", "detached", "code"),
    [
        ("none", False, "no_billing_config"),
        ("active", True, "no_payment_method"),
        ("payment_failed", True, "no_payment_method"),
        ("suspended", True, "no_payment_method"),
        ("payment_failed", False, "payment_failed"),
        ("suspended", False, "suspended"),
        ("active", False, None),
    ],
)
def test_the_first_reason_counts(stack: RunningStack, billing: str, detached: bool, code: str | None) -> None:
    api = stack.account("--billing", billing)
    if detached:
        stack.rows(
            "UPDATE billing_paymentmethod SET detached_at = now() WHERE billing_id IN"
            " (SELECT id FROM billing_billingconfig WHERE account_id = %s)",
            api.account_id,
        )
    response = api.bulk(contact(use_validation=True))
    assert response.json().get("code") == code
    assert response.status_code == (402 if code else 200)


def test_what_stripe_says_counts_with_the_next_request(stack: RunningStack) -> None:
    api = stack.account("--billing", "no_payment_method")
    customer, method, invoice = (f"{kind}_{secrets.token_hex(8)}" for kind in ("cus", "pm", "in"))
    mine = "WHERE account_id = %s"
    stack.rows(f"UPDATE billing_billingconfig SET stripe_customer_id = %s {mine}", customer, api.account_id)
    stack.rows(
        "INSERT INTO billing_invoice (account_id, month, reference, micro_dollars, carried_in, cents, status,"
        " stripe_id, tried_with, created_at)"
        " VALUES (%s, '2026-10-01', gen_random_uuid(), 1000000, 0, 100, 'pending', %s, '', now())",
        api.account_id,
        invoice,
    )

    def answer() -> str | None:
        code: str | None = api.bulk(contact(use_validation=True)).json().get("code")
        return code

    assert answer() == "no_payment_method"
    tell(stack, "payment_method.attached", id=method, customer=customer, type="card", card={"brand": "visa"})
    assert answer() is None
    tell(stack, "invoice.payment_failed", id=invoice, status="open", attempted=True)
    assert answer() == "payment_failed"
    tell(stack, "invoice.paid", id=invoice, status="paid", total=100, attempted=True)
    assert answer() is None
    tell(stack, "payment_method.detached", id=method, customer=None)
    assert answer() == "no_payment_method"
    stack.rows(f"UPDATE billing_invoice SET status = 'void', paid_at = NULL {mine}", api.account_id)


def test_the_webhook_of_nobody_is_refused_in_json(stack: RunningStack) -> None:
    refused = httpx.post(f"{stack.base}/webhooks/stripe", content=b"{}", trust_env=False)
    assert (refused.status_code, json.loads(refused.content)["code"]) == (400, "invalid_signature")


@pytest.mark.parametrize("size", [1_000_001, 3_000_000, 6_000_000])
@pytest.mark.parametrize("is_declared", [True, False])
def test_a_webhook_that_is_too_large_is_refused_in_json(
    stack: RunningStack, size: int, is_declared: bool
) -> None:
    body = b" " * size
    url, pieces = f"{stack.base}/webhooks/stripe", (body[at : at + 65_536] for at in range(0, size, 65_536))
    refused = httpx.post(url, content=body if is_declared else pieces, trust_env=False, timeout=60)
    assert (refused.status_code, json.loads(refused.content)["code"]) == (413, "payload_too_large")
