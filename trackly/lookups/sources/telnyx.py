"""Telnyx Number Lookup.

https://developers.telnyx.com/api-reference/number-lookup/lookup-phone-number-data; errors:
https://developers.telnyx.com/development/api-fundamentals/api-errors.
"""

from urllib.parse import quote

import msgspec
from django.conf import settings

from trackly.lookups.line import Line, LineKind, words
from trackly.outbound import (
    OK,
    Caller,
    OutboundError,
    Request,
    Response,
    TooFast,
    Verdict,
    check_status,
    read_as,
    retry_after,
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

_INACTIVE = "10001"
_NO_SUCH_NUMBER = {"10002", "10016"}
_REFUSED = {"10009", "10010"}
_TOO_FAST = "10011"
_IN_TROUBLE = {"10007", "10008"}
_UNPROCESSABLE = 422


class _Carrier(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    error_code: str | int | None = None


class _Portability(msgspec.Struct):
    ported_status: str | None = None


class _Data(msgspec.Struct):
    country_code: str | None = None
    valid_number: bool | None = None
    carrier: _Carrier | None = None
    portability: _Portability | None = None


class _Answer(msgspec.Struct):
    data: _Data


class _Error(msgspec.Struct):
    code: str | int


class _Errors(msgspec.Struct):
    errors: list[_Error]


async def look_up(caller: Caller, phone_number: str) -> Line:
    """What Telnyx knows of a number in E.164. Raises OutboundError."""
    request = Request(
        url=f"{settings.TELNYX_URL}/v2/number_lookup/{quote(phone_number)}",
        params={"type": "carrier"},
        headers={"Authorization": f"Bearer {settings.TELNYX_API_KEY}"},
    )
    return await caller.ask("telnyx", phone_number, request, read)


def read(response: Response) -> Line:
    """The line that a response describes. Raises OutboundError, TooFast."""
    if response.status != OK:
        return _read_error(response)
    data = read_as(response, _Answer).data
    carrier = data.carrier or _Carrier()
    ported = data.portability is not None and data.portability.ported_status == "Y"
    return Line(
        valid=data.valid_number is not False,
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
        errors = read_as(response, _Errors).errors
    except OutboundError:
        errors = []
    codes = {str(error.code) for error in errors}
    if _INACTIVE in codes:
        return Line(in_service=False)
    if codes & _NO_SUCH_NUMBER:
        return Line(valid=False)
    if _TOO_FAST in codes:
        raise TooFast(retry_after(response.headers.get("Retry-After")))
    if codes & _REFUSED:
        raise OutboundError("refused", Verdict.NOT_US)
    if codes & _IN_TROUBLE:
        raise OutboundError("is in trouble", Verdict.TRY_AGAIN)
    if response.status == _UNPROCESSABLE:  # a Canadian number without the permission
        raise OutboundError("can't answer", Verdict.NOT_THIS)
    check_status(response)
    raise AssertionError("unreachable: every status but 200 raises")
