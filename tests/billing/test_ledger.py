"""The ledger: appended to, never changed; and what it comes to by month."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test import Client

from billing import ledger, usage
from billing.models import (
    BillingConfig,
    CachedUse,
    Disposition,
    EntryKind,
    Invoice,
    LedgerEntry,
    Validation,
    dollars,
)
from billing.validation import Finding
from tests.support import new_account, new_numbers
from trackly.accounts.keys import create_key
from trackly.sandbox.server import Stub

pytestmark = pytest.mark.django_db
FINDING = Finding(Disposition.OK, True, "mobile", "", False, False, "US")  # noqa: FBT003
MONTH = date(2026, 10, 1)


def charged(count: int = 1) -> LedgerEntry:
    """An account with so many charges; the last of them."""
    account, _ = new_account()
    ledger.record(account.pk, dict.fromkeys(new_numbers(count), FINDING))
    return LedgerEntry.objects.latest("pk")


def test_a_charge_is_three_tenths_of_a_cent_for_a_result() -> None:
    entry = charged()
    assert (entry.kind, entry.micro_dollars, entry.validation is not None) == ("charge", 3_000, True)
    assert str(entry) == "$0.003000"


@pytest.mark.parametrize(
    ("amount", "written"),
    [(0, "$0.000000"), (3_000, "$0.003000"), (-3_000, "-$0.003000"), (1_234_567, "$1.234567")],
)
def test_amounts_are_written_whole(amount: int, written: str) -> None:
    assert dollars(amount) == written


@pytest.mark.parametrize("change", ["update", "delete", "save"])
def test_nobody_changes_an_entry(change: str) -> None:
    entry = charged()
    entry.micro_dollars = 1
    changes: dict[str, Any] = {
        "update": lambda: LedgerEntry.objects.update(micro_dollars=1),
        "delete": LedgerEntry.objects.all()._raw_delete,
        "save": entry.save,
    }
    with pytest.raises(Exception, match="append-only"), transaction.atomic():
        changes[change]("default") if change == "delete" else changes[change]()
    assert LedgerEntry.objects.get().micro_dollars == 3_000


def test_no_result_is_stored_without_its_charge() -> None:
    account, _ = new_account()
    facts = {"valid": True, "line_type": "mobile", "ported": False, "on_dnc": False, "disposition": "ok"}
    Validation.objects.create(account=account, phone_number="+14155552671", **facts)
    with pytest.raises(ProgrammingError, match="has no charge"):
        connection.check_constraints()
    transaction.set_rollback(True)


def test_a_slip_of_the_finger_is_refused() -> None:
    account, _ = new_account()
    with pytest.raises(IntegrityError, match="ledger_entry_is_no_slip"):
        LedgerEntry.objects.create(
            account=account, kind=EntryKind.ADJUSTMENT, micro_dollars=10**12, reason="too many zeros"
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": EntryKind.CHARGE, "micro_dollars": 3_000},
        {"kind": EntryKind.ADJUSTMENT, "micro_dollars": 0, "reason": "for nothing"},
        {"kind": EntryKind.ADJUSTMENT, "micro_dollars": 5, "reason": ""},
        {"kind": EntryKind.REFUND, "micro_dollars": -3_000, "reason": "of nothing"},
        {"kind": "gift", "micro_dollars": 1, "reason": "x"},
    ],
)
def test_an_entry_is_for_something(wrong: dict[str, Any]) -> None:
    account, _ = new_account()
    with pytest.raises(IntegrityError, match="ledger_entry_is_for_something"):
        LedgerEntry.objects.create(account=account, **wrong)


def test_a_charge_is_taken_back_once_by_another_entry() -> None:
    entry = charged()
    refund = ledger.refund(entry, reason="wrong number", by=None)
    assert (refund.micro_dollars, refund.reverses) == (-3_000, entry)
    with pytest.raises(ValueError, match="already"):
        ledger.refund(entry, reason="again", by=None)
    with pytest.raises(ValueError, match="Only a charge"):
        ledger.refund(refund, reason="of a refund", by=None)
    assert LedgerEntry.objects.count() == 2


def test_the_months_usage() -> None:
    account, _ = new_account()
    stranger, _ = new_account()
    for owner, moment, amount in (
        (account, datetime(2026, 9, 30, 23, 59, 59, tzinfo=UTC), 1_000_000),
        (account, datetime(2026, 10, 1, tzinfo=UTC), 120_000),
        (account, datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC), -20_000),
        (account, datetime(2026, 11, 1, tzinfo=UTC), 1_000_000),
        (stranger, datetime(2026, 10, 5, tzinfo=UTC), 1_000_000),
    ):
        kind = EntryKind.ADJUSTMENT
        LedgerEntry.objects.create(
            account=owner, kind=kind, micro_dollars=amount, reason="a test", created_at=moment
        )
    for month, count in ((MONTH, 2), (MONTH, 3), (date(2026, 11, 1), 9)):
        CachedUse.objects.create(account=account, month=month, count=count)
    [found] = usage.of_months(account.pk, [MONTH])
    assert found.as_json() == {"month": "2026-10", "validations": 0, "cached": 5, "cost": "0.100000"}


def test_a_month_without_anything_is_nothing() -> None:
    account, _ = new_account()
    assert usage.of_months(account.pk, [MONTH])[0].as_json() == {
        "month": "2026-10",
        "validations": 0,
        "cached": 0,
        "cost": "0.000000",
    }


def test_adding_up_changes_no_sum() -> None:
    account, _ = new_account()
    for number in range(30):
        CachedUse.objects.create(account=account, month=MONTH, count=number)
    usage.add_up()
    assert CachedUse.objects.count() == 1
    assert usage.of_months(account.pk, [MONTH])[0].cached == sum(range(30))


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-1", "26-10", "2026-10-01", "", "٢٠٢٦-10", "0000-01", "9999-12"]
)
def test_a_month_is_written_in_one_way(client: Client, month: str) -> None:
    _, key = create_key(new_account()[0], name="a")
    response = client.get("/api/v2/usage", {"month": month}, headers={"X-Api-Key": key})
    expected = 200 if month == "9999-12" else 400
    assert response.status_code == expected


def test_the_admin_shows_the_months_and_takes_back_and_adjusts(admin_client: Client) -> None:
    entry = charged(3)
    config = BillingConfig.objects.create(account=entry.account)
    page = admin_client.get(f"/admin/billing/billingconfig/{config.pk}/change/").content.decode()
    assert "Paid validation by month" in page
    assert "$0.009000" in page
    url = "/admin/billing/ledgerentry/"
    admin_client.post(url, {"action": "refund", "_selected_action": [entry.pk]})
    assert entry.refund.created_by == User.objects.get(username="admin")
    for amount, reason, made in (
        (-9_000, "goodwill", 1),
        (0, "nothing", 1),
        (5, "", 1),
        (10**12, "zeros", 1),
    ):
        given = {"account": entry.account_id, "micro_dollars": amount, "reason": reason}
        admin_client.post(f"{url}add/", given)
        assert LedgerEntry.objects.filter(kind="adjustment").count() == made
    assert admin_client.post(f"{url}{entry.pk}/delete/", {"post": "yes"}).status_code == 403


def test_who_may_only_look_takes_nothing_back(client: Client, django_user_model: Any) -> None:
    from django.contrib.auth.models import Permission  # noqa: PLC0415

    looker: User = django_user_model.objects.create_user("looker", password="x", is_staff=True)
    looker.user_permissions.add(*Permission.objects.filter(codename="view_ledgerentry"))
    client.force_login(looker)
    entry = charged()
    client.post("/admin/billing/ledgerentry/", {"action": "refund", "_selected_action": [entry.pk]})
    assert LedgerEntry.objects.count() == 1


def test_a_state_is_changed_by_its_action_alone(admin_client: Client) -> None:
    account, _ = new_account()
    config = BillingConfig.objects.create(account=account)
    url = f"/admin/billing/billingconfig/{config.pk}"
    inline = {"payment_methods-TOTAL_FORMS": 0, "payment_methods-INITIAL_FORMS": 0}
    for action, expected in (("suspend", "suspended"), ("resume", "active")):
        admin_client.post(f"{url}/{action}/")
        config.refresh_from_db()
        assert config.status == expected
    BillingConfig.objects.update(status="payment_failed")  # while a form stood open
    admin_client.post(f"{url}/change/", {"account": account.pk, "status": "active", **inline})
    config.refresh_from_db()
    assert config.status == "payment_failed"
    Invoice.objects.create(account=account, month=MONTH, micro_dollars=1, cents=100, status="failed")
    admin_client.post(f"{url}/resume/")
    config.refresh_from_db()
    assert config.status == "payment_failed"


def test_a_config_with_something_owed_is_not_deleted(admin_client: Client) -> None:
    config = BillingConfig.objects.create(account=charged().account)
    url = f"/admin/billing/billingconfig/{config.pk}/delete/"
    assert admin_client.post(url, {"post": "yes"}).status_code == 403


def test_the_admin_gives_a_link_for_a_card(admin_client: Client, stub: Stub, settings: Any) -> None:
    config = BillingConfig.objects.create(account=new_account()[0])
    url = f"/admin/billing/billingconfig/{config.pk}/set-up-payment/"
    page = admin_client.post(url, follow=True).content.decode()
    assert f"http://127.0.0.1:{stub.server_port}/checkout/cs_" in page
    settings.STRIPE_API_KEY = ""
    assert "Stripe gave no link" in admin_client.post(url, follow=True).content.decode()
