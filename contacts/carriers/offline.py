"""Carrier facts from phonenumbers' metadata: no network, and no knowledge of what is in service."""

from collections.abc import Iterable
from functools import cache, lru_cache

from phonenumbers import PhoneNumberType, is_number_type_geographical
from phonenumbers.carrierdata import CARRIER_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

from contacts.carriers.facts import Facts, facts_of
from contacts.phone import Number
from trackly.lookups.line import Line, LineKind, words

_KINDS = {
    PhoneNumberType.MOBILE: LineKind.MOBILE,
    PhoneNumberType.FIXED_LINE: LineKind.LANDLINE,
    PhoneNumberType.VOIP: LineKind.VOIP,
    PhoneNumberType.TOLL_FREE: LineKind.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: LineKind.PREMIUM,
    PhoneNumberType.SHARED_COST: LineKind.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER: LineKind.PERSONAL,
    PhoneNumberType.PAGER: LineKind.PAGER,
    PhoneNumberType.UAN: LineKind.UAN,
    PhoneNumberType.VOICEMAIL: LineKind.VOICEMAIL,
}


_HEAD = 4
"""Digits: the calling code 1 with an area code; about as much of other numbers."""
_DIVIDED = {prefix[:_HEAD] for prefix in (*TIMEZONE_DATA, *CARRIER_DATA) if len(prefix) > _HEAD}
"""The heads of numbers whose carrier or time zone depends on later digits too."""


def look_up(number: Number) -> Facts:
    """The facts of a number."""
    head = number.e164[1 : 1 + _HEAD]
    if head in _DIVIDED:
        return _look_up(number)
    return _alike(number.type, number.calling_code, head)


@cache
def _alike(number_type: int, calling_code: str, head: str) -> Facts:
    """The facts of all numbers with this head, which is not divided: a few thousand there are."""
    return _look_up(Number(f"+{head}", calling_code, number_type))


def _look_up(number: Number) -> Facts:
    return _facts(number.type, _carrier(number), time_zone(number))


def time_zone(number: Number) -> str:
    """The IANA name of a number's time zone; the first one, where its range spans several; empty: unknown.

    As phonenumbers' `timezone.time_zones_for_number`: a number that is tied to no place has its country's.
    """
    code = number.calling_code
    digits = number.e164[1:] if _is_tied(number.type, code) else code
    for length in _time_zone_prefixes(code):
        if zones := TIMEZONE_DATA.get(digits[:length]):
            return zones[0]
    return ""


def _carrier(number: Number) -> str:
    """Whom the number's range was given to, in English; as phonenumbers' `carrier.name_for_valid_number`."""
    for length in _carrier_prefixes(number.calling_code):
        names = CARRIER_DATA.get(number.e164[1 : 1 + length])
        if names and "en" in names:
            return names["en"]
    return ""


@cache
def _is_tied(number_type: int, calling_code: str) -> bool:
    """Whether numbers of the type belong to a place."""
    return is_number_type_geographical(number_type, int(calling_code))


@cache
def _time_zone_prefixes(calling_code: str) -> list[int]:
    return _lengths(TIMEZONE_DATA, calling_code)


@cache
def _carrier_prefixes(calling_code: str) -> list[int]:
    return _lengths(CARRIER_DATA, calling_code)


def _lengths(prefixes: Iterable[str], calling_code: str) -> list[int]:
    """How long the prefixes of a calling code are: of a dozen lengths that there are, one to five."""
    return sorted({len(prefix) for prefix in prefixes if prefix.startswith(calling_code)}, reverse=True)


@lru_cache(maxsize=4096)
def _facts(number_type: int, carrier: str, time_zone: str) -> Facts:
    """There are few different ones: those of a country's carriers, or of its area codes."""
    line = Line(kind=_KINDS.get(number_type, LineKind.UNKNOWN), carrier=words(carrier))
    return facts_of(line, time_zone=time_zone)
