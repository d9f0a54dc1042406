"""Carrier facts from phonenumbers' metadata: no network, and no knowledge of what is in service."""

from phonenumbers import PhoneNumber, PhoneNumberType, carrier, number_type, timezone

from contacts.carriers.facts import Facts
from contacts.models import LineType

_LINE_TYPES = {
    PhoneNumberType.MOBILE: LineType.CELL_PHONE,
    PhoneNumberType.FIXED_LINE: LineType.LANDLINE,
    PhoneNumberType.VOIP: LineType.VOIP,
}
# What can't take a text message (contract, "Carrier validation"). FIXED_LINE_OR_MOBILE can: in North America
# the number alone does not tell.
_CAN_NOT_RECEIVE = {
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.PAGER,
    PhoneNumberType.UAN,
    PhoneNumberType.VOICEMAIL,
}
_UNKNOWN_TIMEZONE = "Etc/Unknown"


def look_up(number: PhoneNumber) -> Facts:
    """The facts of a valid number. Where its range spans several time zones, the first one."""
    kind = number_type(number)
    zone = timezone.time_zones_for_number(number)[0]
    return Facts(
        line_type=_LINE_TYPES.get(kind, LineType.UNKNOWN),
        can_receive=kind not in _CAN_NOT_RECEIVE,
        carrier=carrier.name_for_valid_number(number, "en"),
        time_zone="" if zone == _UNKNOWN_TIMEZONE else zone,
    )
