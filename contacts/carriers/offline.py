"""Carrier facts from phonenumbers' metadata: no network, and no knowledge of what is in service."""

from phonenumbers import PhoneNumber, PhoneNumberType, carrier, number_type, timezone

from contacts.carriers.facts import Facts, facts_of
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
_UNKNOWN_TIMEZONE = "Etc/Unknown"


def look_up(number: PhoneNumber) -> Facts:
    """The facts of a valid number."""
    line = Line(
        kind=_KINDS.get(number_type(number), LineKind.UNKNOWN),
        carrier=words(carrier.name_for_valid_number(number, "en")),
    )
    return facts_of(line, time_zone=time_zone(number))


def time_zone(number: PhoneNumber) -> str:
    """The IANA name of a number's time zone; the first one, where its range spans several; empty: unknown."""
    zone: str = timezone.time_zones_for_number(number)[0]
    return "" if zone == _UNKNOWN_TIMEZONE else zone
