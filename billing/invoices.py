"""Month's end: an invoice per account, brought to Stripe. Every step may run again, at once, after any crash.

Which invoices there are is decided in one transaction per month (`invoice_once`, ClosedMonth). Bringing one
to Stripe starts with asking Stripe how far it got, and each step bears an idempotency key: no invoice is
made, filled, paid or paid back twice. After its first payment is tried, Stripe alone tries again, and its
webhooks say how that ends.
"""

from datetime import date, datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Min, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from billing import months, payments
from billing.models import (
    BillingConfig,
    BillingStatus,
    ClosedMonth,
    Invoice,
    InvoiceStatus,
    LedgerEntry,
)
from billing.payments import PaymentsError, Remote, Unreachable
from core import sql

logger = structlog.get_logger(__name__)

CLOSES_AFTER = timedelta(hours=6)
"""A month is closed so long after its end: far longer than any transaction that began in it takes."""
MINIMUM_CENTS = 50
"""Stripe collects no less (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)."""
MOST_CENTS = 99_999_999
"""Stripe collects no more at a time (the same page); the rest is carried on."""
SETTLED, _PAYABLE = ("paid", "void"), ("open", "uncollectible")
"""Stripe's words for how its invoices stand."""
_LEASE = timedelta(minutes=10)
_LONGEST_RUN = timedelta(minutes=5)
_ASKED_AGAIN_AFTER = timedelta(days=1)
"""A failed invoice is compared with Stripe's so often: a webhook may have been lost."""

# What the last invoice left over (fractions of a cent, amounts too small to collect, credit) comes first. A
# month without ledger lines has an invoice only if that can be collected or paid back. Credit is paid back in
# such a month, as far as the account has paid us, unless something is still to be collected.
_MAKE = """
WITH booked AS (
    SELECT account_id, sum(micro_dollars)::bigint AS owed FROM billing_ledgerentry
    WHERE created_at >= %(begin)s AND created_at < %(end)s GROUP BY account_id
), before AS (
    SELECT DISTINCT ON (account_id) account_id,
        micro_dollars + carried_in - cents * 10000::bigint AS carried,
        COALESCE(sum(cents) FILTER (WHERE status = 'paid' OR cents < 0) OVER of_account, 0)::bigint AS paid,
        bool_or(status IN ('pending', 'failed') AND cents > 0) OVER of_account AS is_open
    FROM billing_invoice WHERE month < %(month)s
    WINDOW of_account AS (PARTITION BY account_id)
    ORDER BY account_id, month DESC
), account AS (
    SELECT account_id, owed, COALESCE(carried, 0) AS carried,
        trunc((COALESCE(owed, 0) + COALESCE(carried, 0)) / 10000.0)::bigint AS due,
        CASE WHEN owed IS NULL AND NOT is_open THEN paid ELSE 0 END AS refundable
    FROM booked FULL JOIN before USING (account_id)
), amount AS (
    SELECT *, CASE WHEN due >= %(minimum)s THEN LEAST(due, %(most)s)
        WHEN due < 0 THEN -LEAST(-due, refundable, %(most)s) ELSE 0 END AS cents
    FROM account
)
INSERT INTO billing_invoice (
    account_id, month, reference, micro_dollars, carried_in, cents, status, tried_with, created_at
)
SELECT account_id, %(month)s, gen_random_uuid(), COALESCE(owed, 0), carried, cents,
    CASE WHEN cents = 0 THEN 'carried' ELSE 'pending' END, '', now()
FROM amount WHERE owed IS NOT NULL OR cents <> 0
ON CONFLICT ON CONSTRAINT invoice_once DO NOTHING
"""


def close_due_months(now: datetime | None = None) -> list[date]:
    """Make the invoices of each month that is over and was not closed yet; the months that were closed."""
    closed = []
    while (month := _next_to_close()) is not None:
        if (now or timezone.now()) < months.begin(months.following(month)) + CLOSES_AFTER:
            break
        with transaction.atomic():
            _, is_ours = ClosedMonth.objects.get_or_create(month=month)  # another process waits here
            if is_ours:
                end = months.begin(months.following(month))
                bounds = {"month": month, "begin": months.begin(month), "end": end}
                sql.rows(_MAKE, {**bounds, "minimum": MINIMUM_CENTS, "most": MOST_CENTS})
                closed.append(month)
                logger.info("month_closed", month=f"{month:%Y-%m}")
    return closed


def _next_to_close() -> date | None:
    last = ClosedMonth.objects.order_by("-month").values_list("month", flat=True).first()
    if last is not None:
        return months.following(last)
    first = LedgerEntry.objects.aggregate(first=Min("created_at"))["first"]
    return None if first is None else months.month_of(first)


def collect_open() -> int:
    """Bring invoices to Stripe that are not settled; how many of them went through without trouble.

    Those that are pending, that failed and may be paid with another card now, or that failed and were not
    looked at for a day; those first that have waited longest. One that makes trouble does not hold up the
    others; where Stripe is away, or after five minutes, the rest is left to the next run.
    """
    began, done = timezone.now(), 0
    for invoice_id in list(_open(began).values_list("pk", flat=True)):
        if timezone.now() - began > _LONGEST_RUN:
            break
        try:
            done += collect(invoice_id)
        except Unreachable as exc:
            logger.warning("stripe_unreachable", reason=str(exc))
            break
        except PaymentsError as exc:
            logger.warning("invoice_not_collected", invoice=invoice_id, reason=str(exc))
        except Exception:
            logger.exception("invoice_not_collected", invoice=invoice_id)
    return done


def _open(now: datetime) -> QuerySet[Invoice]:
    newest = payments.cards_of(OuterRef("account"))[:1]
    another_card = Q(card__isnull=False) & ~Q(tried_with=F("card"))
    forgotten = Q(tried_at=None) | Q(tried_at__lt=now - _ASKED_AGAIN_AFTER)
    return (
        Invoice.objects.annotate(card=Subquery(newest))
        .filter(
            Q(status=InvoiceStatus.PENDING) | (Q(status=InvoiceStatus.FAILED) & (another_card | forgotten))
        )
        .order_by(F("tried_at").asc(nulls_first=True), "pk")
    )


def collect(invoice_id: int) -> bool:
    """Bring an invoice to Stripe and try to have it paid; False if another process has it, or it is settled.

    Raises PaymentsError where Stripe gives no usable answer; to be called again then. Call it outside of
    transactions.
    """
    now = timezone.now()
    unsettled = [InvoiceStatus.PENDING, InvoiceStatus.FAILED]
    free = Invoice.objects.filter(pk=invoice_id, status__in=unsettled).exclude(claimed_until__gt=now)
    if not free.update(claimed_until=now + _LEASE, tried_at=now):
        return False
    try:
        invoice = Invoice.objects.select_related("account").get(pk=invoice_id)
        if invoice.cents < 0:
            record(invoice_id, _pay_back(invoice))
        else:
            customer = _customer_of(invoice)
            card = payments.cards_of(invoice.account_id).first()  # with a deleted customer its cards go, too
            record(invoice_id, _bring(invoice, customer, card), tried_with=card or "")
    finally:
        Invoice.objects.filter(pk=invoice_id, claimed_until=now + _LEASE).update(claimed_until=None)
    return True


def _customer_of(invoice: Invoice) -> str:
    config = BillingConfig.objects.select_related("account").filter(account=invoice.account_id).first()
    if config is None:
        raise PaymentsError("the account has no billing config any more")
    return payments.customer_of(config)


def _at_stripe(invoice: Invoice, customer: str) -> Remote | None:
    """Stripe's invoice for ours, if it has one that this customer can pay, or one that is settled.

    It is replaced where it was deleted, or where its customer, the only one that could pay it, was deleted.
    That is noted first: what happens to the old one from then on is our own doing (billing.webhooks).
    """
    if invoice.stripe_id:
        remote = payments.find(invoice.stripe_id)
        if remote is not None and (remote.customer == customer or remote.status in SETTLED):
            return remote
        logger.warning("invoice_made_anew", invoice=invoice.pk, stripe_id=invoice.stripe_id)
        invoice.stripe_id, invoice.replaced_id = None, invoice.stripe_id
        invoice.save(update_fields=["stripe_id", "replaced_id"])
    if invoice.replaced_id and (paid := payments.withdraw(invoice.replaced_id)):
        return paid
    return payments.find_by_reference(invoice, customer)


def _bring(invoice: Invoice, customer: str, card: str | None) -> Remote:
    """The steps that are still to be done at Stripe, in their order."""
    remote = _at_stripe(invoice, customer) or payments.draft(invoice, customer)
    Invoice.objects.filter(pk=invoice.pk).update(stripe_id=remote.id)
    if remote.status == "draft":
        if remote.cents == 0:
            remote = payments.fill(invoice, remote, customer)
        if remote.cents != invoice.cents:
            raise PaymentsError(
                f"the draft {remote.id} is over {remote.cents} cents, not {invoice.cents}:"
                " delete it at Stripe, and it is made anew"
            )
        remote = payments.finalize(invoice, remote)
    if remote.status in _PAYABLE and card and not (remote.was_attempted and card == invoice.tried_with):
        remote = payments.pay(invoice, remote, customer, card)
    return remote


def _pay_back(invoice: Invoice) -> Remote:
    """Pay credit back, from the account's newest paid invoices on; how far a run before got says Stripe."""
    paid = Invoice.objects.filter(account=invoice.account_id, status=InvoiceStatus.PAID, cents__gt=0)
    of_each = [(one, payments.credits_of(str(one.stripe_id))) for one in paid.order_by("-month")]
    ours = [note for _, notes in of_each for note in notes if note.reference == str(invoice.reference)]
    left = -invoice.cents - sum(note.cents for note in ours)
    for one, notes in of_each:
        share = min(left, one.cents - sum(note.cents for note in notes))
        if share > 0:
            ours.append(payments.pay_back(invoice, str(one.stripe_id), share))
            left -= share
    if left:
        raise PaymentsError(
            f"{left} of {-invoice.cents} cents can't be paid back: no paid invoice has them left"
        )
    return Remote(id=ours[0].id, status="paid", cents=invoice.cents)


def record(invoice_id: int, remote: Remote, *, tried_with: str | None = None) -> None:
    """Take over how an invoice stands at Stripe, and with it whether the account may be billed.

    One that is open has failed: a card answers at once, and without one there is nothing to collect with.
    Paid and void are for good, whatever is heard later; what is heard twice changes nothing.
    """
    statuses = {
        "paid": InvoiceStatus.PAID,
        "void": InvoiceStatus.VOID,
        "open": InvoiceStatus.FAILED,
        "uncollectible": InvoiceStatus.FAILED,
    }
    status = statuses.get(remote.status)
    if status is None:
        return
    with transaction.atomic():
        invoice = Invoice.objects.select_for_update().get(pk=invoice_id)
        if invoice.status in (InvoiceStatus.PAID, InvoiceStatus.VOID):
            return
        if status == InvoiceStatus.PAID and remote.cents != invoice.cents:
            logger.error(
                "invoice_amount_differs", invoice=invoice_id, ours=invoice.cents, theirs=remote.cents
            )
            return
        invoice.status = status
        invoice.stripe_id = remote.id
        invoice.next_attempt_at = remote.next_attempt_at
        invoice.paid_at = timezone.now() if status == InvoiceStatus.PAID else None
        if tried_with is not None:
            invoice.tried_with = tried_with
        invoice.save(update_fields=["status", "stripe_id", "next_attempt_at", "paid_at", "tried_with"])
        follow(invoice.account_id)
        logger.info("invoice_is", invoice=invoice_id, status=status)


def follow(account_id: int, *, resume: bool = False) -> None:
    """An account may not be billed while an invoice of its failed. What was suspended by hand stays so.

    `resume`: a person ends the suspension. Call it in a transaction.
    """
    config = BillingConfig.objects.select_for_update().filter(account=account_id).first()
    if config is None or (config.status == BillingStatus.SUSPENDED and not resume):
        return
    failed = Invoice.objects.filter(account=account_id, status=InvoiceStatus.FAILED).exists()
    config.status = BillingStatus.PAYMENT_FAILED if failed else BillingStatus.ACTIVE
    config.save(update_fields=["status"])
