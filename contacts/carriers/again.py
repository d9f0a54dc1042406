"""Numbers that nobody answered for are asked about again, in the background and politely."""

from collections.abc import Mapping

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from contacts import rows
from contacts.carriers import live
from contacts.carriers.facts import Facts
from contacts.models import Contact
from trackly import sql
from trackly.lookups.models import Kind, Lookup

AT_ONCE = 500
"""Numbers of one run; beat starts a run every ten seconds."""


def unanswered() -> QuerySet[Lookup]:
    """Questions about contacts that nobody answered; those first that have waited longest."""
    is_contact = Exists(Contact.objects.filter(phone_number=OuterRef("phone_number")))
    return Lookup.objects.filter(is_contact, kind=Kind.CARRIER, retry_at__isnull=False).order_by("retry_at")


def look_up_again() -> int:
    """Ask about numbers that are due; what is answered reaches their contacts. How many were verified.

    While a provider is being left alone (trackly.outbound.breaker) this costs it one question.
    """
    due = unanswered().filter(retry_at__lt=timezone.now())
    numbers = list(due.values_list("phone_number", flat=True)[:AT_ONCE])
    facts = live.question().answers(numbers) if numbers else {}
    if facts:
        sql.in_transaction(lambda: _verify(facts))
    return len(facts)


def _verify(facts: Mapping[str, Facts]) -> None:
    rows.lock(sorted(facts))
    rows.verify(facts)
