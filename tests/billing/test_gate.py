"""Who may be billed: one query, the contract's order."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone

from accounts.keys import create_key
from billing.gate import refusal
from billing.models import BillingConfig, Invoice, PaymentMethod
from billing.validation import disposition
from lookups.line import Line, LineKind
from tests.support import contact, new_account


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "method", "code"),
    [
        (None, None, "no_billing_config"),
        ("active", None, "no_payment_method"),
        ("active", "detached", "no_payment_method"),
        ("payment_failed", None, "no_payment_method"),
        ("suspended", "detached", "no_payment_method"),
        ("payment_failed", "usable", "payment_failed"),
        ("suspended", "usable", "suspended"),
        ("active", "usable", None),
        ("active", "owes", "payment_failed"),
        ("suspended", "owes", "suspended"),
    ],
)
def test_the_first_reason_in_the_contracts_order_counts(
    django_assert_num_queries: Callable[[int], Any], status: str | None, method: str | None, code: str | None
) -> None:
    account, _ = new_account()
    if status:
        config = BillingConfig.objects.create(account=account, status=status)
        if method == "owes":
            Invoice.objects.create(
                account=account, month="2026-10-01", micro_dollars=1, cents=100, status="failed"
            )
        if method:
            detached = timezone.now() if method == "detached" else None
            PaymentMethod.objects.create(billing=config, brand="visa", last_four="4242", detached_at=detached)
    with django_assert_num_queries(1):
        assert refusal(account) == code


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "ok"),
        ({"on_dnc": True}, "risky"),
        ({"kind": "voip"}, "risky"),
        ({"kind": "unknown"}, "unknown"),
        ({"in_service": None}, "unknown"),
        ({"in_service": None, "on_dnc": True}, "risky"),
        ({"in_service": False, "on_dnc": True}, "unreachable"),
        ({"kind": "landline"}, "unreachable"),
        ({"kind": "toll_free"}, "unreachable"),
        ({"kind": "personal"}, "unknown"),
        ({"valid": False, "kind": "landline"}, "invalid"),
    ],
)
def test_the_disposition_follows_from_the_facts_the_worst_first(facts: dict[str, Any], expected: str) -> None:
    on_dnc = facts.pop("on_dnc", False)
    kind = LineKind(facts.pop("kind", "mobile"))
    assert disposition(Line(kind=kind, **{"in_service": True, **facts}), on_dnc=on_dnc) == expected


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["contacts/bulk", "contacts", "contacts/bulk?dry_run=true"])
def test_a_refused_request_leaves_no_row_and_no_message_behind(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    account, _ = new_account()
    _, key = create_key(account, name="a")
    BillingConfig.objects.create(account=account)

    sent: list[Any] = []
    monkeypatch.setattr("kombu.messaging.Producer.publish", lambda *message, **_: sent.append(message))
    before = _rows()
    wanted = contact(use_validation=True)
    body = {"contacts": [contact(), wanted]} if "bulk" in path else wanted
    response = client.post(
        f"/api/v2/{path}", json.dumps(body), content_type="application/json", headers={"X-Api-Key": key}
    )
    assert (response.status_code, response.json()["code"]) == (402, "no_payment_method")
    assert (_rows(), sent) == (before, [])


def _rows() -> dict[str, int]:
    """How many rows each table of ours has."""
    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}
