"""Twilio Lookup v2.

https://www.twilio.com/docs/lookup/v2-api and, for what `Fields` names, /line-type-intelligence and
/line-status there; errors: https://www.twilio.com/docs/api/errors.
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
from trackly.outbound.twilio import REFUSED, TOO_FAST, credentials, error_code

_KINDS = {
    "mobile": LineKind.MOBILE,
    "landline": LineKind.LANDLINE,
    "fixedVoip": LineKind.VOIP,
    "nonFixedVoip": LineKind.VOIP,
    "tollFree": LineKind.TOLL_FREE,
    "premium": LineKind.PREMIUM,
    "sharedCost": LineKind.SHARED_COST,
    "personal": LineKind.PERSONAL,
    "pager": LineKind.PAGER,
    "uan": LineKind.UAN,
    "voicemail": LineKind.VOICEMAIL,
}
# "unreachable" is a telephone that is switched off: its line is active.
_IN_SERVICE = {"active": True, "reachable": True, "unreachable": True, "inactive": False}

_NO_SUCH_NUMBER = 20404
_OUT_OF_COVERAGE = {60600, 60610}
_TOO_FAST = TOO_FAST | {60616, 60626}
_REFUSED = REFUSED | {
    60606,  # the package is not enabled for the account
    60611,  # the package's quota is used up
    60614,  # must be asked in another of Twilio's regions
    60619,  # can't be asked in this one
}
_UNANSWERABLE = {
    60601,  # Canadian numbers need an approval
    60607,  # no provider for the number's country
}


class _LineType(msgspec.Struct):
    type: str | None = None
    carrier_name: str | None = None
    error_code: int | None = None


class _LineStatus(msgspec.Struct):
    status: str | None = None
    error_code: int | None = None


class _Answer(msgspec.Struct):
    valid: bool
    country_code: str | None = None
    line_type_intelligence: _LineType | None = None
    line_status: _LineStatus | None = None


async def look_up(caller: Caller, phone_number: str) -> Line:
    """What Twilio knows of a number in E.164. Raises OutboundError."""
    fields = "line_type_intelligence"
    if settings.TWILIO_LINE_STATUS:
        fields += ",line_status"
    request = Request(
        url=f"{settings.TWILIO_LOOKUPS_URL}/v2/PhoneNumbers/{quote(phone_number)}",
        params={"Fields": fields},
        headers=credentials(),
    )
    return await caller.ask("twilio", phone_number, request, read)


def read(response: Response) -> Line:
    """The line that a response describes. Raises OutboundError, TooFast."""
    if response.status != OK:
        code = error_code(response)
        if code == _NO_SUCH_NUMBER:
            return Line(valid=False)
        _check(code, response)
        check_status(response)
    answer = read_as(response, _Answer)
    line = answer.line_type_intelligence or _LineType()
    status = answer.line_status or _LineStatus()
    _check(line.error_code, response)
    # The beta's errors only mean that the status is not known.
    known_to_carrier = True if line.carrier_name and line.error_code is None else None
    return Line(
        valid=answer.valid,
        in_service=_IN_SERVICE.get(status.status or "") if settings.TWILIO_LINE_STATUS else known_to_carrier,
        kind=_KINDS.get(line.type or "", LineKind.UNKNOWN),
        carrier=words(line.carrier_name),
        country=words(answer.country_code),
    )


def _check(code: int | None, response: Response) -> None:
    """Raise what an error code of Twilio's means, wherever it stands; nothing where it means "unknown"."""
    if code is None or code == 0 or code in _OUT_OF_COVERAGE:
        return
    if code in _TOO_FAST:
        raise TooFast(retry_after(response.headers.get("Retry-After")))
    if code in _REFUSED:
        raise OutboundError(f"refused with {code}", Verdict.NOT_US)
    if code in _UNANSWERABLE:
        raise OutboundError(f"can't answer: {code}", Verdict.NOT_THIS)
    if response.status == OK:
        raise OutboundError(f"answered with error {code}", Verdict.TRY_AGAIN)
