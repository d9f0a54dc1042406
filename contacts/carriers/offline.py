"""Carrier facts from phonenumbers' metadata: no network, and no knowledge of what is in service."""

from functools import cache, lru_cache

from phonenumbers import PhoneNumberType
from phonenumbers.carrierdata import CARRIER_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

from contacts.carriers import zones
from contacts.facts import Facts, facts_of
from contacts.phone import Number
from lookups.line import Line, LineKind, words

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
    return _alike(number.type, number.calling_code, number.region, head)


@cache
def _alike(number_type: int, calling_code: str, region: str, head: str) -> Facts:
    """The facts of all numbers with this head, which is not divided: a few thousand there are."""
    return _look_up(Number(f"+{head}", calling_code, number_type, region))


def _look_up(number: Number) -> Facts:
    return _facts(number.type, _carrier(number), time_zone(number))


def time_zone(number: Number) -> str:
    """The IANA name of the likeliest of a number's time zones (contacts.carriers.zones); empty: unknown."""
    return next(iter(zones.of(number)), "")


def _carrier(number: Number) -> str:
    """The carrier that the number's range is assigned to, in English (as `carrier.name_for_valid_number`)."""
    for length in _carrier_prefixes(number.calling_code):
        names = CARRIER_DATA.get(number.e164[1 : 1 + length])
        if names and "en" in names:
            return names["en"]
    return ""


@cache
def _carrier_prefixes(calling_code: str) -> list[int]:
    return zones.lengths(CARRIER_DATA, calling_code)


@lru_cache(maxsize=4096)
def _facts(number_type: int, carrier: str, time_zone: str) -> Facts:
    """There are few different ones: those of a country's carriers, or of its area codes."""
    line = Line(kind=_KINDS.get(number_type, LineKind.UNKNOWN), carrier=words(carrier))
    return facts_of(line, time_zone=time_zone)
