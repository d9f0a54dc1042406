"""Free carrier look-ups: what a number is, and whether it can take a text message.

`offline` needs no network; `live` asks providers over HTTP, for slices that travel on a queue of their own
(ingestion); `again` retries unanswered numbers.
"""

from collections.abc import Callable, Collection, Iterable

from django.conf import settings

from contacts.carriers import live, offline
from contacts.facts import UNVERIFIED, Facts
from contacts.models import LineType
from contacts.phone import Number
from lookups.line import NOT_IN_SERVICE
from lookups.sandbox import NUMBERS
from lookups.single_flight import Known

__all__ = ["UNVERIFIED", "Facts", "known", "look_up", "offline_facts", "on_network", "reason_of"]

offline_facts = offline.look_up


def on_network(phone_numbers: Collection[str]) -> set[str]:
    """The numbers whose facts come from a service on the network (in the sandbox: those of its table)."""
    if settings.TRACKLY_SANDBOX:
        return NUMBERS.keys() & phone_numbers
    return set() if settings.TRACKLY_CARRIER == [live.OFFLINE] else set(phone_numbers)


def reason_of(facts: Facts, number: Number) -> str:
    """Why a number with these facts, which say so, can't take a text message (contract, "Reading").

    Facts that were stored before reasons were have none. Then the kind of line tells, or the metadata where
    the kind is not on record; what is left is a line out of service.
    """
    if facts.reason:
        return facts.reason
    if facts.line_type == LineType.LANDLINE:
        return "landline"
    said = offline_facts(number).reason if facts.line_type == LineType.UNKNOWN else ""
    return said or NOT_IN_SERVICE


def known(phone_numbers: Iterable[str]) -> Known[Facts]:
    """What providers said of these numbers before, or failed to say a little while ago. One query."""
    return live.question().known(phone_numbers)


def look_up(phone_numbers: Iterable[str], *, keep: Callable[[], None]) -> dict[str, Facts]:
    """The facts of numbers that are `on_network`; an unanswered number is missing.

    Call it outside of transactions; `keep` is called every few seconds.
    """
    return live.question().answers(phone_numbers, keep=keep)
