"""Twilio Lookup v2.

https://www.twilio.com/docs/lookup/v2-api and, for what `Fields` names, /line-type-intelligence and
/line-status there; errors: https://www.twilio.com/docs/api/errors. A number that does not exist is answered
200 with `valid: false`. 404 (20404) is about the path: this product sends none but numbers in E.164.
"""

from functools import partial
from urllib.parse import quote

import msgspec
from django.conf import settings

from core.outbound import OK, Caller, Endpoint, Failure, OutboundError, Request, Response
from core.outbound.twilio import CREDENTIALS, REFUSED, TOO_FAST, credentials, error_code
from lookups.line import Line, LineKind, words

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

ENDPOINT = Endpoint(
    name="Twilio", path="/v2/PhoneNumbers", address="TWILIO_LOOKUPS_URL", credentials=CREDENTIALS
)
# The codes that speak of a number.
_OUT_OF_COVERAGE = {60600, 60610}
_UNSUPPORTED_COUNTRY = {60607}
# What the account may not ask, about some numbers alone.
_NOT_ENABLED = {60601}  # Canadian numbers need an approval
# The codes that speak of asking.
_TOO_FAST = TOO_FAST | {60616, 60626}
_REFUSED = REFUSED | {
    60606,  # the package is not enabled for the account
    60611,  # the package's quota is used up
    60614,  # must be asked in another of Twilio's regions
    60619,  # can't be asked in this one
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
    phone_number: str
    validation_errors: list[str] | None
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
    return await caller.ask(
        "twilio", phone_number, request, partial(read, phone_number), tells=Line.tells_something
    )


def read(phone_number: str, response: Response) -> Line:
    """The line that a response about the number describes. Raises OutboundError, RateLimited."""
    if response.status != OK:
        code = error_code(response)
        if code in _OUT_OF_COVERAGE:
            raise OutboundError(f"Twilio can't tell: {code}", Failure.PERMANENT)
        _check(code, response)
        ENDPOINT.check_status(response, code=code)
    answer = ENDPOINT.read(response, _Answer)
    if answer.phone_number != phone_number:
        ENDPOINT.undocumented(response)
    if not answer.valid:
        return Line(valid=False, country=words(answer.country_code))
    line = answer.line_type_intelligence
    if line is None:  # it was asked for
        ENDPOINT.undocumented(response)
    _check(line.error_code, response)
    status = answer.line_status or _LineStatus()
    # The beta's errors only mean that the status is not known.
    known_to_carrier = True if line.carrier_name and line.error_code is None else None
    return Line(
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
        ENDPOINT.rate_limited(response)
    if code in _REFUSED:
        ENDPOINT.refused(code)
    if code in _UNSUPPORTED_COUNTRY:
        raise OutboundError(f"Twilio can't tell: {code}", Failure.PERMANENT)
    if code in _NOT_ENABLED:
        raise OutboundError(f"Twilio is not enabled for numbers of this country: {code}", Failure.DEFERRED)
    if response.status == OK:
        raise OutboundError(f"Twilio answered with error {code}", Failure.RETRYABLE)
