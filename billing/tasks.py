"""The Celery tasks of billing."""

from celery import shared_task

from billing import invoices
from core.leases.hold import hold


@shared_task(ignore_result=True)
def month_end(every: float = 0.0) -> None:
    """By beat: make the invoices of months that are over, bring to Stripe what is pending."""
    with hold("month end", every=every) as is_ours:
        if is_ours:
            try:
                invoices.close_due_months()
            finally:
                invoices.collect_open()
