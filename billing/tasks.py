"""The Celery tasks of billing."""

from celery import shared_task

from billing import invoices
from trackly import sql


@shared_task(ignore_result=True)
def month_end() -> None:
    """By beat: make the invoices of months that are over, bring to Stripe what is pending."""
    with sql.exclusively("month end") as is_ours:
        if is_ours:
            try:
                invoices.close_due_months()
            finally:
                invoices.collect_open()
