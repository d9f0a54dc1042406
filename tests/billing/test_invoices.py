"""Month's end: what is owed, once, whatever dies."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Account
from billing import gate, invoices, months, payments
from billing.models import (
    BillingConfig,
    ClosedMonth,
    EntryKind,
    Invoice,
    InvoiceStatus,
    LedgerEntry,
    PaymentMethod,
)
from devstack.sandbox.server import Stub
from tests.billing.conftest import STRIDE, Run
from tests.support import new_account

AUGUST, SEPTEMBER = date(2026, 8, 1), date(2026, 9, 1)
OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)
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
    owe(account, 400_004, in_month(AUGUST))
    owe(account, 600_000, in_month(OCTOBER))
    assert invoices.close_due_months(months.begin(NOVEMBER) + timedelta(days=2)) == [
        AUGUST,
        SEPTEMBER,
        OCTOBER,
    ]
    made = Invoice.objects.order_by("month").values_list("month", "carried_in", "cents", "status")
    assert list(made) == [(AUGUST, 0, 0, "carried"), (OCTOBER, 400_004, 100, "pending")]


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


def has_paid(stub: Stub, account: Account, month: date, cents: int) -> Invoice:
    """An invoice of the account's that was paid at Stripe."""
    theirs = stub.stripe._new(
        "in", object="invoice", customer="cus_before", status="paid", total=cents, metadata={"reference": "a"}
    )
    return Invoice.objects.create(
        account=account,
        month=month,
        micro_dollars=cents * 10_000,
        cents=cents,
        status=InvoiceStatus.PAID,
        paid_at=timezone.now(),
        stripe_id=theirs["id"],
    )


def has_credit(account: Account, month: date, micro_dollars: int) -> None:
    Invoice.objects.create(
        account=account, month=month, micro_dollars=-micro_dollars, cents=0, status=InvoiceStatus.CARRIED
    )


def paid_back(stub: Stub) -> dict[str, int]:
    """By Stripe's invoice: how many cents."""
    sums: dict[str, int] = {}
    for made in stub.stripe.objects.values():
        if made.get("object") == "credit_note":
            sums[made["invoice"]] = sums.get(made["invoice"], 0) + made["amount"]
    return sums


@pytest.mark.django_db
def test_what_is_left_is_collected_in_a_month_without_ledger_lines() -> None:
    account = billed()
    for _ in range(11):
        owe(account, 100_000_000_000, in_month(OCTOBER))
    close(OCTOBER)
    close(NOVEMBER)
    close(DECEMBER)
    made = Invoice.objects.order_by("month").values_list("month", "micro_dollars", "carried_in", "cents")
    assert list(made) == [
        (OCTOBER, 1_100_000_000_000, 0, 99_999_999),
        (NOVEMBER, 0, 100_000_010_000, 10_000_001),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("left", [499_999, 9_999, -9_999])
def test_what_stripe_can_not_move_is_carried_on_without_an_invoice(stub: Stub, left: int) -> None:
    account = billed()
    has_paid(stub, account, SEPTEMBER, 100)
    has_credit(account, OCTOBER, -left)
    for month in (NOVEMBER, DECEMBER):
        ClosedMonth.objects.get_or_create(month=OCTOBER)
        close(month)
    assert Invoice.objects.count() == 2
    owe(account, 1_000_000, in_month(date(2027, 1, 1)))
    close(date(2027, 1, 1))
    assert Invoice.objects.get(month=date(2027, 1, 1)).carried_in == left


@pytest.mark.django_db
def test_credit_is_used_up_first_and_paid_back_after_a_month_without_use(stub: Stub) -> None:
    account = billed()
    owe(account, 5_000_000, in_month(AUGUST))
    close(AUGUST)
    assert invoices.collect_open() == 1
    owe(account, -3_000_000, in_month(SEPTEMBER))
    close(SEPTEMBER)
    owe(account, 1_004_999, in_month(OCTOBER))
    close(OCTOBER)
    assert invoices.collect_open() == 0
    assert not paid_back(stub)
    close(NOVEMBER)
    assert invoices.collect_open() == 1
    first, back = Invoice.objects.exclude(cents=0).order_by("month")
    assert (back.month, back.cents, back.status, back.carried_in) == (NOVEMBER, -199, "paid", -1_995_001)
    assert paid_back(stub) == {first.stripe_id: 199}
    close(DECEMBER)
    assert (invoices.collect_open(), Invoice.objects.count()) == (0, 4)
    assert BillingConfig.objects.get(account=account).status == "active"
    assert str(back) == "2026-11: -$1.99"


@pytest.mark.django_db
def test_no_more_is_paid_back_than_was_paid_and_the_newest_comes_first(stub: Stub) -> None:
    account = billed()
    oldest, newest = has_paid(stub, account, AUGUST, 300), has_paid(stub, account, SEPTEMBER, 200)
    has_credit(account, OCTOBER, 4_000_000)
    ClosedMonth.objects.create(month=OCTOBER)
    close(NOVEMBER)
    assert invoices.collect_open() == 1
    assert paid_back(stub) == {newest.stripe_id: 200, oldest.stripe_id: 200}
    owe(account, -7_000_000, in_month(DECEMBER))
    for month in (DECEMBER, date(2027, 1, 1), date(2027, 2, 1)):
        close(month)
    assert invoices.collect_open() == 1
    assert paid_back(stub) == {newest.stripe_id: 200, oldest.stripe_id: 300}
    back = Invoice.objects.filter(cents__lt=0).order_by("month")
    assert list(back.values_list("cents", flat=True)) == [-400, -100]


@pytest.mark.django_db
def test_a_gift_that_was_never_paid_for_stays_credit(stub: Stub) -> None:
    account = billed()
    has_credit(account, OCTOBER, 4_000_000)
    ClosedMonth.objects.create(month=OCTOBER)
    close(NOVEMBER)
    assert Invoice.objects.count() == 1


@pytest.mark.django_db
def test_credit_is_not_paid_back_while_something_is_still_to_be_collected(stub: Stub) -> None:
    account = billed()
    has_paid(stub, account, AUGUST, 500)
    failed = has_paid(stub, account, SEPTEMBER, 100)
    Invoice.objects.filter(pk=failed.pk).update(status="failed", paid_at=None)
    has_credit(account, OCTOBER, 3_000_000)
    ClosedMonth.objects.create(month=OCTOBER)
    close(NOVEMBER)
    assert not Invoice.objects.filter(cents__lt=0).exists()
    Invoice.objects.filter(pk=failed.pk).update(status="void")
    close(DECEMBER)
    assert Invoice.objects.get(cents__lt=0).cents == -300


@pytest.mark.django_db
def test_what_was_refunded_by_hand_at_stripe_is_not_paid_back_again(stub: Stub) -> None:
    account = billed()
    paid = has_paid(stub, account, SEPTEMBER, 300)
    has_credit(account, OCTOBER, 3_000_000)
    ClosedMonth.objects.create(month=OCTOBER)
    stub.stripe._new(
        "cn", object="credit_note", invoice=paid.stripe_id, amount=100, status="issued", metadata={}
    )
    close(NOVEMBER)
    assert (invoices.collect_open(), invoices.collect_open()) == (0, 0)
    assert paid_back(stub) == {paid.stripe_id: 300}
    assert Invoice.objects.get(cents__lt=0).status == InvoiceStatus.PENDING  # the log says why


@pytest.mark.job("month_end")
def test_credit_is_paid_back_once_by_runs_killed_before_every_line(killer: Run, stub: Stub) -> None:
    line, code = 0, SIGKILL
    while code == SIGKILL:
        line += STRIDE
        account = billed()
        before = [has_paid(stub, account, month, 100) for month in (date(2026, 7, 1), AUGUST)]
        has_credit(account, SEPTEMBER, 1_500_000)
        ClosedMonth.objects.all().delete()
        ClosedMonth.objects.create(month=SEPTEMBER)
        [code] = killer(kill_at=line)
        Invoice.objects.update(claimed_until=None)  # the lease has passed
        if line % 2:
            stub.stripe._answers.clear()  # the idempotency keys have expired, too
        assert killer() == [0]
        back = Invoice.objects.get(account=account, month=OCTOBER)
        assert (back.cents, back.status) == (-150, InvoiceStatus.PAID)
        assert [paid_back(stub)[str(one.stripe_id)] for one in before] == [50, 100]
    assert code == 0
    assert line > 60, "it runs more lines than that"


@pytest.mark.job("month_end")
def test_five_months_ends_at_once_pay_back_once(killer: Run, stub: Stub) -> None:
    accounts = [billed() for _ in range(5)]
    before = [has_paid(stub, account, AUGUST, 100) for account in accounts]
    for account in accounts:
        has_credit(account, SEPTEMBER, 800_000)
    ClosedMonth.objects.create(month=SEPTEMBER)
    assert killer(at_once=5) == [0] * 5
    assert killer() == [0]
    assert paid_back(stub) == {one.stripe_id: 80 for one in before}
    made = Invoice.objects.filter(month=OCTOBER).values_list("cents", "status")
    assert list(made) == [(-80, "paid")] * 5


def _reference(made: dict[str, Any]) -> str:
    return str(made.get("metadata", {}).get("reference", ""))


def delete(stub: Stub, kind: str, object_id: str) -> None:
    """What somebody does by hand, in Stripe's Dashboard."""
    status, _ = stub.stripe.answer("DELETE", f"/v1/{kind}/{object_id}", {}, {"Authorization": "Bearer sk_"})
    assert status == 200


def new_card(account: Account, name: str = "pm_new") -> None:
    config = BillingConfig.objects.get(account=account)
    PaymentMethod.objects.create(billing=config, brand="visa", last_four="1881", stripe_id=name)


def at_stripe(stub: Stub) -> list[tuple[str, str]]:
    """Id and state of its invoices, in the order that they were made."""
    every = stub.stripe.objects.values()
    return [(made["id"], made["status"]) for made in every if made.get("object") == "invoice"]


@pytest.mark.django_db
@pytest.mark.parametrize("id_reached_us", [True, False])
def test_a_draft_deleted_at_stripe_is_made_anew(stub: Stub, id_reached_us: bool) -> None:
    owing_a_dollar()
    invoice = Invoice.objects.select_related("account").get()
    config = BillingConfig.objects.select_related("account").get()
    made = payments.draft(invoice, payments.customer_of(config))
    if id_reached_us:
        Invoice.objects.update(stripe_id=made.id)
    delete(stub, "invoices", made.id)
    # Where its id was lost, Stripe repeats its answer of then: it takes a run to see that this one is gone.
    assert invoices.collect_open() == (1 if id_reached_us else 0)
    invoices.collect_open()
    invoice.refresh_from_db()
    assert (invoice.status, invoice.replaced_id) == (InvoiceStatus.PAID, made.id)
    assert at_stripe(stub) == [(invoice.stripe_id, "paid")]


@pytest.mark.django_db
def test_a_customer_deleted_at_stripe_is_made_anew_and_pays_with_a_new_card(stub: Stub) -> None:
    """No webhook tells of it."""
    stub.stripe.declines = True
    account = owing_a_dollar()
    invoices.collect_open()
    config = BillingConfig.objects.get(account=account)
    first = str(config.stripe_customer_id)
    [(old, _)] = at_stripe(stub)
    delete(stub, "customers", first)
    stub.stripe.declines = False
    Invoice.objects.update(tried_at=timezone.now() - timedelta(hours=25))
    invoices.collect_open()
    config.refresh_from_db()
    assert config.stripe_customer_id not in (None, first)
    assert gate.refusal(account) == gate.NO_METHOD
    assert [status for _, status in at_stripe(stub)] == ["void", "open"]
    new_card(account)
    assert invoices.collect_open() == 1
    invoice = Invoice.objects.get()
    assert (invoice.status, invoice.replaced_id) == (InvoiceStatus.PAID, old)
    assert at_stripe(stub) == [(old, "void"), (invoice.stripe_id, "paid")]
    assert sum(stub.stripe.paid.values()) == 1
    assert gate.refusal(account) is None


@pytest.mark.django_db
@pytest.mark.parametrize(("stands", "ours"), [("paid", "paid"), ("void", "void")])
def test_what_was_settled_before_the_customer_was_deleted_is_settled(
    stub: Stub, stands: str, ours: str
) -> None:
    stub.stripe.declines = True
    account = owing_a_dollar()
    invoices.collect_open()
    [(old, _)] = at_stripe(stub)
    stub.stripe.objects[old]["status"] = stands  # and no webhook told of it
    customer = str(BillingConfig.objects.get().stripe_customer_id)
    delete(stub, "customers", customer)
    assert payments.forget_customer(customer)
    new_card(account)
    assert invoices.collect_open() == 1
    assert (Invoice.objects.get().status, at_stripe(stub)) == (ours, [(old, stands)])
    assert gate.refusal(account) is None


@pytest.mark.django_db
def test_what_was_written_off_at_stripe_is_paid_with_a_new_card(stub: Stub) -> None:
    stub.stripe.declines = True
    account = owing_a_dollar()
    invoices.collect_open()
    [(theirs, _)] = at_stripe(stub)
    stub.stripe.objects[theirs]["status"] = "uncollectible"
    stub.stripe.declines = False
    new_card(account)
    assert invoices.collect_open() == 1
    assert (Invoice.objects.get().status, gate.refusal(account)) == (InvoiceStatus.PAID, None)


@pytest.mark.job("month_end")
def test_an_invoice_is_made_anew_once_by_runs_killed_before_every_line(killer: Run, stub: Stub) -> None:
    ClosedMonth.objects.create(month=OCTOBER)
    line, code = 0, SIGKILL
    while code == SIGKILL:
        line += STRIDE
        account = billed()
        config = BillingConfig.objects.get(account=account)
        config.stripe_customer_id = customer = f"cus_deleted_{line}"
        config.save()
        invoice = Invoice.objects.create(
            account=account, month=OCTOBER, micro_dollars=1_000_000, cents=100, status="failed"
        )
        theirs = {"customer": customer, "status": "open", "total": 100, "attempted": True}
        about = {"metadata": {"reference": str(invoice.reference)}, "next_payment_attempt": None}
        old = stub.stripe._new("in", object="invoice", **theirs, **about)
        Invoice.objects.filter(pk=invoice.pk).update(stripe_id=old["id"])
        delete(stub, "customers", customer)
        assert payments.forget_customer(customer)
        new_card(account, f"pm_new_{line}")
        [code] = killer(kill_at=line)
        Invoice.objects.update(claimed_until=None)
        if line % 2:
            stub.stripe._answers.clear()
        assert killer() == [0]
        invoice.refresh_from_db()
        assert (invoice.status, invoice.replaced_id) == (InvoiceStatus.PAID, old["id"])
        made = [one for one in stub.stripe.objects.values() if _reference(one) == str(invoice.reference)]
        ended = [(old["id"], "void"), (invoice.stripe_id, "paid")]
        assert [(one["id"], one["status"]) for one in made] == ended
        assert (made[1]["total"], len(made[1]["lines"]["data"])) == (100, 1)
        assert stub.stripe.paid[str(invoice.stripe_id)] == made[1]["attempt_count"] == 1
    assert code == 0
    assert line > 60, "it runs more lines than that"


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
    every = stub.stripe.objects.values()
    customers = [made for made in every if made.get("object") == "customer" and not made.get("deleted")]
    assert len(customers) == BillingConfig.objects.exclude(stripe_customer_id=None).count()


@pytest.mark.job("month_end")
def test_months_end_killed_before_every_line_it_runs_is_one_invoice(killer: Run, stub: Stub) -> None:
    line, code = 0, SIGKILL
    while code == SIGKILL:
        line += STRIDE
        account = billed()
        owe(account, 1_000_000 + line * 10_000, in_month(OCTOBER))
        ClosedMonth.objects.all().delete()
        ClosedMonth.objects.create(month=SEPTEMBER)
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
    ClosedMonth.objects.create(month=SEPTEMBER)
    assert killer(at_once=5) == [0] * 5
    assert killer() == [0]
    for number, account in enumerate(accounts):
        _settled(stub, account, 100 + number)
