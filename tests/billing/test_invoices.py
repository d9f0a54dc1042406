"""Month's end: what is owed, once, whatever dies."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing import invoices, months, payments
from billing.models import (
    BillingConfig,
    ClosedMonth,
    EntryKind,
    Invoice,
    InvoiceStatus,
    LedgerEntry,
    PaymentMethod,
)
from tests.billing.conftest import STRIDE, Run
from tests.support import new_account
from trackly.accounts.models import Account
from trackly.sandbox.server import Stub

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
SIGKILL = -9


def owe(account: Account, micro_dollars: int, moment: datetime) -> None:
    LedgerEntry.objects.create(
        account=account,
        kind=EntryKind.ADJUSTMENT,
        micro_dollars=micro_dollars,
        reason="a test",
        created_at=moment,
    )


def in_month(month: date) -> datetime:
    return months.begin(month) + timedelta(days=3)


def billed() -> Account:
    account, _ = new_account()
    config = BillingConfig.objects.create(account=account)
    PaymentMethod.objects.create(billing=config, brand="visa", last_four="4242", stripe_id=f"pm_{account.pk}")
    return account


def close(month: date) -> None:
    invoices.close_due_months(months.begin(months.following(month)) + invoices.CLOSES_AFTER)


def owing_a_dollar() -> Account:
    """An account with an invoice of 100 cents that nobody has brought to Stripe yet."""
    account = billed()
    owe(account, 1_000_000, in_month(OCTOBER))
    close(OCTOBER)
    return account


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2026, 10, 1, tzinfo=UTC), OCTOBER),
        (datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=UTC), OCTOBER),
        (datetime(2026, 11, 1, tzinfo=UTC), NOVEMBER),
        (datetime.fromisoformat("2026-10-31T20:00:00-05:00"), NOVEMBER),
    ],
)
def test_months_are_those_of_utc(moment: datetime, month: date) -> None:
    assert months.month_of(moment) == month


def test_months_follow_each_other() -> None:
    assert months.following(date(2026, 12, 1)) == date(2027, 1, 1)
    assert months.last(3, date(2027, 1, 1)) == [date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)]


@pytest.mark.django_db
def test_a_month_is_closed_some_hours_after_its_end_and_once() -> None:
    account = billed()
    owe(account, 1_000_000, in_month(OCTOBER))
    end = months.begin(NOVEMBER)
    assert invoices.close_due_months(end + invoices.CLOSES_AFTER - timedelta(seconds=1)) == []
    assert invoices.close_due_months(end + invoices.CLOSES_AFTER) == [OCTOBER]
    assert invoices.close_due_months(end + invoices.CLOSES_AFTER) == []
    assert Invoice.objects.get().cents == 100


@pytest.mark.django_db
def test_months_that_were_missed_are_closed_in_their_order() -> None:
    account = billed()
    owe(account, 400_004, in_month(date(2026, 8, 1)))
    owe(account, 600_000, in_month(OCTOBER))
    assert invoices.close_due_months(months.begin(NOVEMBER) + timedelta(days=2)) == [
        date(2026, 8, 1),
        date(2026, 9, 1),
        OCTOBER,
    ]
    made = Invoice.objects.order_by("month").values_list("month", "carried_in", "cents", "status")
    assert list(made) == [(date(2026, 8, 1), 0, 0, "carried"), (OCTOBER, 400_004, 100, "pending")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("owed", "cents", "left"),
    [
        (499_999, 0, 499_999),  # 49.9999 cents: less than Stripe takes
        (500_000, 50, 0),
        (1_003_000, 100, 3_000),  # a fraction of a cent is never rounded up
        (1_009_999, 100, 9_999),
        (-3_000, 0, -3_000),
    ],
)
def test_nothing_is_rounded_away(owed: int, cents: int, left: int) -> None:
    account = billed()
    owe(account, owed, in_month(OCTOBER))
    close(OCTOBER)
    assert Invoice.objects.get().cents == cents
    owe(account, 5_000_000 - left, in_month(NOVEMBER))
    close(NOVEMBER)
    second = Invoice.objects.get(month=NOVEMBER)
    assert (second.carried_in, second.cents) == (left, 500)


@pytest.mark.django_db
def test_an_account_that_owes_nothing_gets_no_invoice() -> None:
    owe(billed(), 1_000_000, in_month(OCTOBER))
    billed()
    close(OCTOBER)
    assert Invoice.objects.count() == 1


@pytest.mark.django_db
def test_an_invoice_is_paid_with_the_accounts_card(stub: Stub) -> None:
    account = billed()
    owe(account, 1_234_000, in_month(OCTOBER))
    close(OCTOBER)
    assert invoices.collect_open() == 1
    invoice = Invoice.objects.get()
    assert (invoice.status, invoice.paid_at is not None) == (InvoiceStatus.PAID, True)
    assert invoice.stripe_id is not None
    theirs = stub.stripe.objects[invoice.stripe_id]
    assert (theirs["total"], theirs["status"], theirs["attempt_count"]) == (123, "paid", 1)
    assert stub.stripe.objects[theirs["customer"]]["card"] == f"pm_{account.pk}"
    assert theirs["lines"]["data"][0]["description"] == "Number validation, October 2026"
    assert invoices.collect_open() == 0


@pytest.mark.django_db
def test_a_card_that_is_declined_stops_billing_and_only_stripe_tries_again(stub: Stub) -> None:
    stub.stripe.declines = True
    account = owing_a_dollar()
    invoices.collect_open()
    invoice = Invoice.objects.get()
    assert invoice.status == InvoiceStatus.FAILED
    assert invoice.next_attempt_at is not None
    assert BillingConfig.objects.get(account=account).status == "payment_failed"
    for _ in range(3):
        assert invoices.collect_open() == 0
    assert stub.stripe.objects[str(invoice.stripe_id)]["attempt_count"] == 1


@pytest.mark.django_db
def test_a_new_card_pays_what_the_old_one_could_not_and_once(stub: Stub) -> None:
    account = billed()
    stub.stripe.declined = {f"pm_{account.pk}"}
    owe(account, 1_000_000, in_month(OCTOBER))
    close(OCTOBER)
    invoices.collect_open()
    config = BillingConfig.objects.get(account=account)
    assert config.status == "payment_failed"
    PaymentMethod.objects.create(billing=config, brand="visa", last_four="1881", stripe_id="pm_new")
    for _ in range(2):
        invoices.collect_open()
    invoice = Invoice.objects.get()
    config.refresh_from_db()
    assert (invoice.status, config.status) == (InvoiceStatus.PAID, "active")
    assert stub.stripe.paid[str(invoice.stripe_id)] == 1
    assert stub.stripe.objects[str(invoice.stripe_id)]["attempt_count"] == 2


@pytest.mark.django_db
def test_an_account_without_a_card_has_failed_until_it_has_one(stub: Stub) -> None:
    account = billed()
    PaymentMethod.objects.update(detached_at=timezone.now())
    owe(account, 1_000_000, in_month(OCTOBER))
    close(OCTOBER)
    invoices.collect_open()
    assert Invoice.objects.get().status == InvoiceStatus.FAILED
    PaymentMethod.objects.update(detached_at=None)
    invoices.collect_open()
    assert Invoice.objects.get().status == InvoiceStatus.PAID


@pytest.mark.django_db
def test_a_payment_that_no_webhook_told_of_is_found_after_a_day(stub: Stub) -> None:
    stub.stripe.declines = True
    account = owing_a_dollar()
    invoices.collect_open()
    invoice = Invoice.objects.get()
    stub.stripe.objects[str(invoice.stripe_id)]["status"] = "paid"
    invoices.collect_open()
    assert Invoice.objects.get().status == InvoiceStatus.FAILED
    Invoice.objects.update(tried_at=timezone.now() - timedelta(hours=25))
    invoices.collect_open()
    assert Invoice.objects.get().status == InvoiceStatus.PAID
    assert BillingConfig.objects.get(account=account).status == "active"


@pytest.mark.django_db
def test_one_invoice_that_makes_trouble_does_not_hold_up_the_others(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        owe(billed(), 1_000_000, in_month(OCTOBER))
    close(OCTOBER)
    unlucky = Invoice.objects.order_by("pk").first()
    assert unlucky is not None
    fill = payments.fill

    def broken(invoice: Invoice, *arguments: Any) -> Any:
        if invoice.pk == unlucky.pk:
            raise ZeroDivisionError
        return fill(invoice, *arguments)

    monkeypatch.setattr(payments, "fill", broken)
    invoices.collect_open()
    assert sorted(Invoice.objects.values_list("status", flat=True)) == ["paid", "paid", "pending"]


@pytest.mark.django_db
def test_too_much_for_stripe_is_collected_in_parts() -> None:
    account = billed()
    for _ in range(11):
        owe(account, 100_000_000_000, in_month(OCTOBER))
    close(OCTOBER)
    owe(account, -10_000, in_month(NOVEMBER))
    close(NOVEMBER)
    made = Invoice.objects.order_by("month").values_list("cents", "carried_in")
    assert list(made) == [(99_999_999, 0), (10_000_000, 100_000_010_000)]


@pytest.mark.django_db
def test_a_customer_deleted_at_stripe_is_made_anew(stub: Stub) -> None:
    config = BillingConfig.objects.get(account=billed())
    first = payments.customer_of(config)
    config.stripe_customer_id, config.stripe_generation = None, 1
    config.save()
    assert payments.customer_of(config) != first


@pytest.mark.django_db
def test_stripe_away_costs_nothing_but_time(stub: Stub, settings: Any) -> None:
    owing_a_dollar()
    right = settings.STRIPE_API_KEY
    for wrong in ("wrong", ""):
        settings.STRIPE_API_KEY = wrong
        assert invoices.collect_open() == 0
    settings.STRIPE_API_KEY = right
    assert Invoice.objects.get().status == InvoiceStatus.PENDING
    assert invoices.collect_open() == 1
    assert sum(stub.stripe.paid.values()) == 1


@pytest.mark.django_db
def test_an_invoice_that_somebody_is_at_is_left_to_him(stub: Stub) -> None:
    owing_a_dollar()
    Invoice.objects.update(claimed_until=timezone.now() + timedelta(minutes=1))
    assert invoices.collect_open() == 0
    assert not stub.stripe.requests


@pytest.mark.django_db
def test_an_invoice_whose_id_never_reached_us_is_found_after_the_keys_have_expired(stub: Stub) -> None:
    owing_a_dollar()
    invoice = Invoice.objects.select_related("account").get()
    config = BillingConfig.objects.select_related("account").get()
    payments.draft(invoice, payments.customer_of(config))
    stub.stripe._answers.clear()  # a day later
    assert invoices.collect_open() == 1
    assert len([made for made in stub.stripe.objects.values() if made.get("object") == "invoice"]) == 1


@pytest.mark.django_db
def test_a_draft_over_another_amount_is_not_collected(stub: Stub) -> None:
    owing_a_dollar()
    invoice = Invoice.objects.select_related("account").get()
    config = BillingConfig.objects.select_related("account").get()
    made = payments.draft(invoice, payments.customer_of(config))
    stub.stripe.objects[made.id]["total"] = 99
    assert invoices.collect_open() == 0
    assert (Invoice.objects.get().status, stub.stripe.paid) == (InvoiceStatus.PENDING, {})


def _settled(stub: Stub, account: Account, cents: int) -> None:
    """One invoice, one line, one payment, the right amount."""
    invoice = Invoice.objects.get(account=account)
    assert (invoice.status, invoice.cents) == (InvoiceStatus.PAID, cents)
    theirs = [
        made
        for made in stub.stripe.objects.values()
        if made.get("object") == "invoice" and made["metadata"]["reference"] == str(invoice.reference)
    ]
    assert [(made["id"], made["total"], len(made["lines"]["data"])) for made in theirs] == [
        (invoice.stripe_id, cents, 1)
    ]
    assert stub.stripe.paid[str(invoice.stripe_id)] == theirs[0]["attempt_count"] == 1
    customers = [made for made in stub.stripe.objects.values() if made.get("object") == "customer"]
    assert len(customers) == BillingConfig.objects.exclude(stripe_customer_id=None).count()


@pytest.mark.job("month_end")
def test_months_end_killed_before_every_line_it_runs_is_one_invoice(killer: Run, stub: Stub) -> None:
    line, code = 0, SIGKILL
    while code == SIGKILL:
        line += STRIDE
        account = billed()
        owe(account, 1_000_000 + line * 10_000, in_month(OCTOBER))
        ClosedMonth.objects.all().delete()
        ClosedMonth.objects.create(month=date(2026, 9, 1))
        [code] = killer(kill_at=line)
        Invoice.objects.update(claimed_until=None)  # the lease has passed
        assert killer() == [0]
        _settled(stub, account, 100 + line)
    assert code == 0
    assert line > 60, "it runs more lines than that"


@pytest.mark.job("month_end")
def test_five_months_ends_at_once_make_one_invoice_each(killer: Run, stub: Stub) -> None:
    accounts = [billed() for _ in range(10)]
    for number, account in enumerate(accounts):
        owe(account, 1_000_000 + number * 10_000, in_month(OCTOBER))
    ClosedMonth.objects.create(month=date(2026, 9, 1))
    assert killer(at_once=5) == [0] * 5
    assert killer() == [0]
    for number, account in enumerate(accounts):
        _settled(stub, account, 100 + number)
