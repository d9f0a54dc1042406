"""The Celery tasks of billing."""

from celery import shared_task

from billing import invoices


@shared_task(ignore_result=True)
def month_end() -> None:
    """By beat: make the invoices of months that are over, bring to Stripe what is pending."""
    invoices.close_due_months()
    invoices.collect_pending()
