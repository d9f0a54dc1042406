"""Carrier facts from phonenumbers' metadata: no network, and no knowledge of what is in service."""

from functools import lru_cache

from phonenumbers import PhoneNumberType, is_number_type_geographical
from phonenumbers.carrierdata import CARRIER_DATA, CARRIER_LONGEST_PREFIX
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

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


def look_up(number: Number) -> Facts:
    """The facts of a number."""
    return _facts(number.type, _carrier(number), time_zone(number))


def time_zone(number: Number) -> str:
    """The IANA name of a number's time zone; the first one, where its range spans several; empty: unknown.

    As phonenumbers' `timezone.time_zones_for_number`: a number that is tied to no place has its country's.
    """
    is_tied = is_number_type_geographical(number.type, int(number.calling_code))
    digits = number.e164[1:] if is_tied else number.calling_code
    for end in range(TIMEZONE_LONGEST_PREFIX, 0, -1):
        if zones := TIMEZONE_DATA.get(digits[:end]):
            return zones[0]
    return ""


def _carrier(number: Number) -> str:
    """Whom the number's range was given to, in English; as phonenumbers' `carrier.name_for_valid_number`."""
    for end in range(CARRIER_LONGEST_PREFIX + 1, 1, -1):
        names = CARRIER_DATA.get(number.e164[1:end])
        if names and "en" in names:
            return names["en"]
    return ""


@lru_cache(maxsize=4096)
def _facts(number_type: int, carrier: str, time_zone: str) -> Facts:
    """There are few different ones: those of a country's carriers, or of its area codes."""
    line = Line(kind=_KINDS.get(number_type, LineKind.UNKNOWN), carrier=words(carrier))
    return facts_of(line, time_zone=time_zone)
