"""Retries unanswered numbers in the background, at a low rate."""

from collections.abc import Mapping

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from contacts import rows
from contacts.carriers import live
from contacts.facts import Facts
from contacts.models import Contact
from core import sql
from lookups.models import Kind, Lookup

AT_ONCE = 500
"""Numbers of one run; beat starts a run every ten seconds."""


def unanswered() -> QuerySet[Lookup]:
    """Unanswered questions about contacts, the longest waiting first."""
    is_contact = Exists(Contact.objects.filter(phone_number=OuterRef("phone_number")))
    asked = Lookup.objects.filter(is_contact, kind=Kind.CARRIER, retry_at__isnull=False)
    return asked.filter(Q(claimed_until=None) | Q(claimed_until__lt=sql.now())).order_by("retry_at")


def look_up_again() -> int:
    """Ask about numbers that are due; what is answered reaches their contacts. How many were verified.

    One number is asked about first: if it stays unanswered, the others are left for later.
    """
    due = unanswered().filter(retry_at__lt=sql.now())
    numbers = list(due.values_list("phone_number", flat=True)[: _how_many()])
    facts = live.question().answers(numbers[:1])
    if facts:  # a source is answering
        facts |= live.question().answers(numbers[1:])
        sql.retry_on_conflict(lambda: _verify(facts))
    return len(facts)


def _how_many() -> int:
    """AT_ONCE, but half of what the provider's rate allows until the next run: customers come first."""
    rates = [settings.TRACKLY_RATES.get(name, 0.0) for name in settings.TRACKLY_CARRIER]
    slowest = min((rate for rate in rates if rate), default=0.0)
    return max(1, min(AT_ONCE, int(slowest * 5))) if slowest else AT_ONCE


def _verify(facts: Mapping[str, Facts]) -> None:
    rows.lock(sorted(facts))
    rows.verify(facts)
