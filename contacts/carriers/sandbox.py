"""Carrier facts from the sandbox's stub (trackly.sandbox.server), for the numbers of its table."""

from urllib.parse import quote

import httpx
import msgspec
from django.conf import settings

from contacts.carriers.facts import Facts, LookupFailed
from contacts.models import LineType
from trackly import outbound
from trackly.sandbox.numbers import NUMBERS

__all__ = ["NUMBERS", "look_up"]

_LINE_TYPES = {"mobile": LineType.CELL_PHONE, "voip": LineType.VOIP, "landline": LineType.LANDLINE}


class _Answer(msgspec.Struct):
    in_service: bool
    line_type: str
    carrier: str
    timezone: str


async def look_up(client: httpx.AsyncClient, phone_number: str) -> Facts:
    """Ask the stub. Raises LookupFailed where it gives no answer."""
    url = f"{settings.TRACKLY_SANDBOX_URL}/carrier/{quote(phone_number)}"
    try:
        answer = await outbound.get(client, url, _Answer)
    except outbound.OutboundError as exc:
        raise LookupFailed(str(exc)) from exc
    return Facts(
        line_type=_LINE_TYPES.get(answer.line_type, LineType.UNKNOWN),
        can_receive=answer.in_service and answer.line_type != "landline",
        carrier=answer.carrier,
        time_zone=answer.timezone,
    )
