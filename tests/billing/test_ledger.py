"""The ledger: appended to, never changed; and what it comes to by month."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test import Client
from django.utils.html import escape

from accounts.keys import create_key
from billing import ledger, usage
from billing.gate import REASONS, refusal
from billing.models import (
    BillingConfig,
    CachedUse,
    Disposition,
    EntryKind,
    Invoice,
    LedgerEntry,
    PaymentMethod,
    Validation,
    dollars,
)
from billing.validation import Finding
from devstack.sandbox.server import Stub
from tests.support import new_account, new_numbers

pytestmark = pytest.mark.django_db
FINDING = Finding(Disposition.OK, True, "mobile", "", False, False, "US")  # noqa: FBT003
MONTH = date(2026, 10, 1)
LEDGER = "/admin/billing/ledgerentry/"


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
    assert admin_client.post(f"{LEDGER}{entry.pk}/delete/", {"post": "yes"}).status_code == 403


def answer(client: Client, url: str, asked: Any, **more: Any) -> Any:
    """Press the button of a page that asks: its hidden fields, and what a person adds."""
    return client.post(url, {**multiple(asked.context["carried"]), "confirmed": "yes", **more}, follow=True)


def multiple(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {name: [value for other, value in pairs if other == name] for name, _ in pairs}


def test_a_refund_asks_first_and_wants_a_reason(admin_client: Client) -> None:
    entry = charged(2)
    chosen = {"action": "refund", "_selected_action": [entry.pk]}
    asked = admin_client.post(LEDGER, chosen)
    page = asked.content.decode()
    assert "Refund this charge, $0.003000 altogether?" in page
    assert "$0.006000 → $0.003000" in page  # the month, before and after
    assert "Enter a reason." in answer(admin_client, LEDGER, asked, reason=" ").content.decode()
    assert not LedgerEntry.objects.filter(kind="refund").exists()
    assert "refunded." in answer(admin_client, LEDGER, asked, reason="wrong number").content.decode()
    assert (entry.refund.micro_dollars, entry.refund.reason) == (-3_000, "wrong number")
    assert entry.refund.created_by == User.objects.get(username="admin")
    for again in (entry, entry.refund):  # neither more than was charged, nor of what is no charge
        page = admin_client.post(
            LEDGER, {"action": "refund", "_selected_action": [again.pk]}, follow=True
        ).content.decode()
        assert "refunded already" in page or "Only a charge can be refunded" in page
    assert LedgerEntry.objects.filter(kind="refund").count() == 1


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("5.00", 5_000_000),
        ("-5", -5_000_000),
        ("$5", 5_000_000),
        ("-$0.003", -3_000),
        ("$-5.1", -5_100_000),
        (" 0.000001 ", 1),
        ("\N{MINUS SIGN}5", -5_000_000),
    ],
)
def test_an_adjustment_is_written_in_dollars_and_asked_about(
    admin_client: Client, written: str, amount: int
) -> None:
    entry = charged()
    given = {"account": entry.account_id, "amount": written, "reason": "goodwill"}
    asked = admin_client.post(f"{LEDGER}add/", given)
    page = asked.content.decode()
    for shown in (dollars(amount), "goodwill", f"$0.003000 → {dollars(3_000 + amount)}", "Test (id"):
        assert shown in page
    assert not LedgerEntry.objects.filter(kind="adjustment").exists()
    answer(admin_client, f"{LEDGER}add/", asked)
    made = LedgerEntry.objects.get(kind="adjustment")
    assert (made.micro_dollars, made.reason, made.account) == (amount, "goodwill", entry.account)
    assert made.created_by == User.objects.get(username="admin")


@pytest.mark.parametrize(
    ("amount", "reason", "said"),
    [
        ("0", "nothing", "Enter a non-zero amount."),
        ("5", "", "Enter a reason."),
        ("", "x", "Enter an amount."),
        ("100000.000001", "zeros", "Enter an amount from -$100000.000000 to $100000.000000."),
        *(
            (wrong, "x", "Enter an amount in dollars with at most six decimals")
            for wrong in ("0.0000001", "five", "1,5", "5 USD", "--5", "-$-5", "1e3", "٥", "nan")
        ),
    ],
)
def test_what_is_no_adjustment_is_said_at_once(
    admin_client: Client, amount: str, reason: str, said: str
) -> None:
    given = {"account": new_account()[0].pk, "amount": amount, "reason": reason}
    response = admin_client.post(f"{LEDGER}add/", given)
    assert said in response.content.decode()
    answered = admin_client.post(f"{LEDGER}add/", {**given, "confirmed": "yes"})
    assert said in answered.content.decode()
    assert not LedgerEntry.objects.exists()


def test_an_answer_books_what_was_asked_about_once(admin_client: Client) -> None:
    account, _ = new_account()
    given = {"account": account.pk, "amount": "-5", "reason": "goodwill"}
    url = f"{LEDGER}add/"
    asked = admin_client.post(url, given)
    other = answer(admin_client, url, asked, amount="-50")
    assert "-$50.000000" in other.content.decode()  # it is asked about, and not booked
    unasked = admin_client.post(url, {**given, "confirmed": "yes"})
    assert "Book this adjustment?" in unasked.content.decode()
    assert not LedgerEntry.objects.exists()
    assert "Booked: -$5.000000" in answer(admin_client, url, asked).content.decode()
    assert "has been booked already" in answer(admin_client, url, asked).content.decode()
    assert LedgerEntry.objects.count() == 1
    answer(admin_client, url, admin_client.post(url, given))  # meant, and asked about again
    assert LedgerEntry.objects.count() == 2


def test_refunds_are_made_a_page_at_most(admin_client: Client) -> None:
    charged(51)
    keys = list(LedgerEntry.objects.values_list("pk", flat=True))
    page = admin_client.post(LEDGER, {"action": "refund", "_selected_action": keys}, follow=True)
    assert "Choose at most 50 entries." in page.content.decode()
    everything = {"action": "refund", "_selected_action": keys[:1], "select_across": "1"}
    page = admin_client.post(LEDGER, everything, follow=True)
    assert "Choose the rows one by one" in page.content.decode()


def test_the_page_says_what_the_gate_says(admin_client: Client) -> None:
    account, _ = new_account()
    config = BillingConfig.objects.create(account=account)
    url = f"/admin/billing/billingconfig/{config.pk}/change/"
    listing = "/admin/billing/billingconfig/"

    def said() -> str:
        shown = " ".join(admin_client.get(url).content.decode().split())
        code = refusal(account)
        assert (REASONS[code].label if code else "Allowed") in admin_client.get(listing).content.decode()
        wanted = admin_client.get(listing, {"refusal": code or "none"}).context["cl"].result_count
        assert wanted == 1
        assert code is None or (f"402 {code}" in shown and escape(REASONS[code].remedy) in shown)
        return code or "none"

    assert said() == "no_payment_method"
    method = PaymentMethod.objects.create(billing=config, brand="visa", last_four="4242")
    assert said() == "none"
    invoice = Invoice.objects.create(
        account=account, month=MONTH, micro_dollars=1, cents=100, status="failed"
    )
    assert said() == "payment_failed"
    BillingConfig.objects.update(status="suspended")
    assert said() == "suspended"
    PaymentMethod.objects.filter(pk=method.pk).update(detached_at=invoice.created_at)
    assert said() == "no_payment_method"


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
        admin_client.post(f"{url}/{action}/", {"reason": "a test"})
        config.refresh_from_db()
        assert config.status == expected
    BillingConfig.objects.update(status="payment_failed")  # while a form stood open
    admin_client.post(f"{url}/change/", {"account": account.pk, "status": "active", **inline})
    config.refresh_from_db()
    assert config.status == "payment_failed"
    Invoice.objects.create(account=account, month=MONTH, micro_dollars=1, cents=100, status="failed")
    admin_client.post(f"{url}/resume/", {"reason": "a test"})
    config.refresh_from_db()
    assert config.status == "payment_failed"


def test_a_config_with_something_owed_is_not_deleted(admin_client: Client) -> None:
    config = BillingConfig.objects.create(account=charged().account)
    url = f"/admin/billing/billingconfig/{config.pk}/delete/"
    page = admin_client.post(url, {"post": "yes"}, follow=True).content.decode()
    assert "its account has ledger entries. Suspend it instead." in page
    assert BillingConfig.objects.filter(pk=config.pk).exists()


def test_the_admin_gives_a_link_for_a_card(admin_client: Client, stub: Stub, settings: Any) -> None:
    config = BillingConfig.objects.create(account=new_account()[0])
    url = f"/admin/billing/billingconfig/{config.pk}/set-up-payment/"
    page = admin_client.post(url, follow=True).content.decode()
    assert f"http://127.0.0.1:{stub.server_port}/checkout/cs_" in page
    settings.STRIPE_API_KEY = ""
    assert "Stripe gave no link" in admin_client.post(url, follow=True).content.decode()
