"""Telnyx Number Lookup.

https://developers.telnyx.com/api-reference/number-lookup/lookup-phone-number-data; errors:
https://developers.telnyx.com/development/api-fundamentals/api-errors.
"""

from functools import partial
from typing import Literal
from urllib.parse import quote

import msgspec
from django.conf import settings

from core.outbound import OK, Caller, Endpoint, Failure, OutboundError, Request, Response
from lookups.line import Line, LineKind, words

ENDPOINT = Endpoint(
    name="Telnyx", path="/v2/number_lookup", address="TELNYX_URL", credentials="TELNYX_API_KEY"
)
_KINDS = {
    "mobile": LineKind.MOBILE,
    "fixed line": LineKind.LANDLINE,
    "voip": LineKind.VOIP,
    "toll free": LineKind.TOLL_FREE,
    "premium rate": LineKind.PREMIUM,
    "shared cost": LineKind.SHARED_COST,
    "personal number": LineKind.PERSONAL,
    "pager": LineKind.PAGER,
    "uan": LineKind.UAN,
    "voicemail": LineKind.VOICEMAIL,
}

# The codes that speak of a number. Not 10016, "must be in +E.164 format": that is how it was sent.
_INACTIVE = "10001"
_INVALID = "10002"
# The codes that speak of asking.
_REFUSED = {"10009", "10010"}
_TOO_FAST = "10011"
_IN_TROUBLE = {"10007", "10008"}
_UNPROCESSABLE = 422
_CANADIAN = "Canadian number"
"""In the detail of a 422, where the account is not enabled for them (docs/identity/number-lookup)."""


class _Carrier(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    error_code: str | int | None = None


class _Portability(msgspec.Struct):
    ported_status: str | None = None


class _Data(msgspec.Struct):
    phone_number: str
    record_type: Literal["number_lookup"]
    country_code: str | None = None
    valid_number: bool | None = None
    carrier: _Carrier | None = None
    portability: _Portability | None = None


class _Answer(msgspec.Struct):
    data: _Data


class _Error(msgspec.Struct):
    code: str | int
    title: str
    detail: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Error]


async def look_up(caller: Caller, phone_number: str) -> Line:
    """What Telnyx knows of a number in E.164. Raises OutboundError."""
    request = Request(
        url=f"{settings.TELNYX_URL}/v2/number_lookup/{quote(phone_number)}",
        params={"type": "carrier"},
        headers={"Authorization": f"Bearer {settings.TELNYX_API_KEY}"},
    )
    return await caller.ask(
        "telnyx", phone_number, request, partial(read, phone_number), tells=Line.tells_something
    )


def read(phone_number: str, response: Response) -> Line:
    """The line that a response about the number describes. Raises OutboundError, RateLimited."""
    if response.status != OK:
        return _read_error(response)
    data = ENDPOINT.read(response, _Answer).data
    if data.phone_number != phone_number:
        ENDPOINT.undocumented(response)
    if data.valid_number is False:
        return Line(valid=False, country=words(data.country_code))
    carrier = data.carrier
    if carrier is None:  # it was asked for
        ENDPOINT.undocumented(response)
    ported = data.portability is not None and data.portability.ported_status == "Y"
    return Line(
        in_service=_in_service(carrier),
        kind=_KINDS.get(carrier.type or "", LineKind.UNKNOWN),
        carrier=words(carrier.name),
        ported=ported,
        country=words(data.country_code),
    )


def _in_service(carrier: _Carrier) -> bool | None:
    if str(carrier.error_code) == _INACTIVE:
        return False
    return True if carrier.name and not carrier.error_code else None


def _read_error(response: Response) -> Line:
    """What an error says of the number. Raises what it says of asking."""
    try:
        errors = msgspec.json.decode(response.content, type=_Errors).errors
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        errors = []
    codes = {str(error.code) for error in errors}
    if _TOO_FAST in codes:
        ENDPOINT.rate_limited(response)
    if refused := codes & _REFUSED:
        ENDPOINT.refused(min(refused))
    if trouble := codes & _IN_TROUBLE:
        raise OutboundError(f"Telnyx is in trouble: {min(trouble)}", Failure.RETRYABLE)
    if response.status == _UNPROCESSABLE:  # the one status that it documents for numbers
        if _INACTIVE in codes:
            return Line(in_service=False)
        if _INVALID in codes:
            return Line(valid=False)
        if any(_CANADIAN in error.detail for error in errors):
            raise OutboundError("Telnyx is not enabled for Canadian numbers", Failure.DEFERRED)
    ENDPOINT.check_status(response, code=", ".join(sorted(codes))[:60])
    raise AssertionError("unreachable: every status but 200 raises")
