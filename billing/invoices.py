"""Month's end: an invoice per account, brought to Stripe. Every step may run again, at once, after any crash.

Which invoices there are is decided in one transaction per month (`invoice_once`, ClosedMonth). Bringing one
to Stripe starts with asking Stripe how far it got, and each step bears an idempotency key: no invoice is
made, filled or paid twice. After its first payment is tried, Stripe alone tries again, and its webhooks say
how that ends.
"""

from datetime import date, datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Min
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
from billing.payments import PaymentsError, Remote
from trackly import sql

logger = structlog.get_logger(__name__)

CLOSES_AFTER = timedelta(hours=6)
"""A month is closed so long after its end: far longer than any transaction that began in it takes."""
MINIMUM_CENTS = 50
"""Stripe collects no less (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)."""
_LEASE = timedelta(minutes=10)
_AT_ONCE = 100

# What the last invoice left over (fractions of a cent, amounts too small to collect, credit) comes first.
_MAKE = """
INSERT INTO billing_invoice (account_id, month, micro_dollars, carried_in, cents, status, created_at)
SELECT account_id, %(month)s, owed, carried, CASE WHEN due >= %(minimum)s THEN due ELSE 0 END,
       CASE WHEN due >= %(minimum)s THEN 'pending' ELSE 'carried' END, now()
FROM (
    SELECT month.account_id, owed, COALESCE(carried, 0) AS carried,
           floor((owed + COALESCE(carried, 0)) / 10000.0)::int AS due
    FROM (
        SELECT account_id, sum(micro_dollars)::bigint AS owed FROM billing_ledgerentry
        WHERE created_at >= %(begin)s AND created_at < %(end)s GROUP BY account_id
    ) AS month
    LEFT JOIN LATERAL (
        SELECT micro_dollars + carried_in - cents * 10000::bigint AS carried FROM billing_invoice AS before
        WHERE before.account_id = month.account_id AND before.month < %(month)s
        ORDER BY before.month DESC LIMIT 1
    ) AS last ON TRUE
) AS account
ON CONFLICT ON CONSTRAINT invoice_once DO NOTHING
"""


def close_due_months(now: datetime | None = None) -> list[date]:
    """Make the invoices of each month that is over and was not closed yet; the months that were closed."""
    closed = []
    while (month := _next_to_close()) is not None:
        if (now or timezone.now()) < months.begin(months.following(month)) + CLOSES_AFTER:
            break
        with transaction.atomic():
            _, is_ours = ClosedMonth.objects.get_or_create(month=month)  # whoever comes second waits here
            if is_ours:
                end = months.begin(months.following(month))
                bounds = {"month": month, "begin": months.begin(month), "end": end}
                sql.rows(_MAKE, {**bounds, "minimum": MINIMUM_CENTS})
                closed.append(month)
                logger.info("month_closed", month=f"{month:%Y-%m}")
    return closed


def _next_to_close() -> date | None:
    last = ClosedMonth.objects.order_by("-month").values_list("month", flat=True).first()
    if last is not None:
        return months.following(last)
    first = LedgerEntry.objects.aggregate(first=Min("created_at"))["first"]
    return None if first is None else months.month_of(first)


def collect_pending() -> int:
    """Bring pending invoices to Stripe; how many came through. What fails is tried with the next run."""
    done = 0
    pending = Invoice.objects.filter(status=InvoiceStatus.PENDING)
    for invoice_id in list(pending.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE]):
        try:
            done += collect(invoice_id)
        except PaymentsError as exc:
            logger.warning("invoice_not_collected", invoice=invoice_id, reason=str(exc))
    return done


def collect(invoice_id: int) -> bool:
    """Bring an invoice to Stripe and try to have it paid; whether it has left `pending`.

    Raises PaymentsError where Stripe gives no answer; to be called again then. Nothing happens if somebody
    else is at it. Call it outside of transactions.
    """
    now = timezone.now()
    mine = Invoice.objects.filter(pk=invoice_id, status=InvoiceStatus.PENDING).exclude(claimed_until__gt=now)
    if not mine.update(claimed_until=now + _LEASE):
        return False
    try:
        invoice = Invoice.objects.select_related("account").get(pk=invoice_id)
        record(invoice_id, _bring(invoice))
    finally:
        Invoice.objects.filter(pk=invoice_id).update(claimed_until=None)
    return True


def _bring(invoice: Invoice) -> Remote:
    """The steps that are still to be done at Stripe, in their order."""
    config, _ = BillingConfig.objects.select_related("account").get_or_create(account=invoice.account)
    customer = payments.customer_of(config)
    remote = payments.find(invoice, customer) or payments.draft(invoice, customer)
    Invoice.objects.filter(pk=invoice.pk).update(stripe_id=remote.id)
    if remote.status == "draft":
        if remote.cents == 0:
            remote = payments.fill(invoice, remote, customer)
        if remote.cents != invoice.cents:
            raise PaymentsError(f"the draft {remote.id} is over {remote.cents} cents, not {invoice.cents}")
        remote = payments.finalize(invoice, remote)
    if remote.status == "open" and not remote.was_attempted:
        remote = payments.pay(invoice, remote)
    return remote


def record(invoice_id: int, remote: Remote) -> None:
    """Take over how an invoice stands at Stripe, and with it whether the account may be billed.

    Paid and void are for good, whatever is heard later; what is heard twice changes nothing.
    """
    statuses = {
        "paid": InvoiceStatus.PAID,
        "void": InvoiceStatus.VOID,
        "open": InvoiceStatus.FAILED,
        "uncollectible": InvoiceStatus.FAILED,
    }
    status = statuses.get(remote.status)
    if status is None or (remote.status == "open" and not remote.was_attempted):
        return
    with transaction.atomic():
        invoice = Invoice.objects.select_for_update().get(pk=invoice_id)
        if invoice.status in (InvoiceStatus.PAID, InvoiceStatus.VOID):
            return
        invoice.status = status
        invoice.stripe_id = remote.id
        invoice.next_attempt_at = remote.next_attempt_at
        invoice.paid_at = timezone.now() if status == InvoiceStatus.PAID else None
        invoice.save(update_fields=["status", "stripe_id", "next_attempt_at", "paid_at"])
        _follow(invoice.account_id)
        logger.info("invoice_is", invoice=invoice_id, status=status)


def _follow(account_id: int) -> None:
    """An account may not be billed while an invoice of its failed. What was suspended by hand stays so."""
    config = BillingConfig.objects.select_for_update().filter(account=account_id).first()
    if config is None or config.status == BillingStatus.SUSPENDED:
        return
    failed = Invoice.objects.filter(account=account_id, status=InvoiceStatus.FAILED).exists()
    config.status = BillingStatus.PAYMENT_FAILED if failed else BillingStatus.ACTIVE
    config.save(update_fields=["status"])
