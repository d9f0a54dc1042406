"""Carrier facts from providers on the network; asked once per number, and kept (lookups)."""

from datetime import timedelta

from django.conf import settings

from contacts import phone
from contacts.carriers import offline
from contacts.facts import Facts, facts_of
from core.outbound import Caller, OutboundError
from lookups.models import Kind
from lookups.single_flight import Question
from lookups.sources import first_answer

OFFLINE = "offline"


def question() -> Question[Facts]:
    """What is asked of each number that is `on_network`."""
    return Question(
        kind=Kind.CARRIER,
        ask=_ask,
        answer=Facts,
        ttl=timedelta(days=settings.TRACKLY_CARRIER_TTL),
        pause=timedelta(seconds=settings.TRACKLY_CARRIER_RECHECK),
    )


async def _ask(caller: Caller, phone_number: str) -> Facts:
    """Ask TRACKLY_CARRIER's sources in order. Raises OutboundError where none answers."""
    names = settings.TRACKLY_CARRIER
    number = phone.parse(phone_number)  # None: later metadata knows it no more
    try:
        line = await first_answer(caller, [name for name in names if name != OFFLINE], phone_number)
    except OutboundError:
        if OFFLINE not in names or number is None:
            raise
        return offline.look_up(number)
    return facts_of(line, time_zone=offline.time_zone(number) if number else "")
