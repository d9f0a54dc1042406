"""Who may be billed: one query, the contract's order."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from billing.gate import refusal
from billing.models import BillingConfig, PaymentMethod
from billing.validation import disposition
from tests.support import new_account
from trackly.lookups.line import Line, LineKind


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
    ],
)
def test_the_first_reason_in_the_contracts_order_counts(
    django_assert_num_queries: Callable[[int], Any], status: str | None, method: str | None, code: str | None
) -> None:
    account, _ = new_account()
    if status:
        config = BillingConfig.objects.create(account=account, status=status)
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
