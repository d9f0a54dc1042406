"""RealPhoneValidation's DNC Lookup: whether a number of North America is on a do-not-call list.

https://realphonevalidation.com/api-documentation/dnc-lookup-api-doc; its words: /data-dictionary. Neither
Twilio nor Telnyx can tell.
"""

from typing import Literal

import msgspec
from django.conf import settings

from core.outbound import Caller, Endpoint, Failure, OutboundError, Request, Response

_PATH = "/rpvWebService/DNCLookup.php"
ENDPOINT = Endpoint(
    name="RealPhoneValidation",
    path=_PATH,
    address="REALPHONEVALIDATION_URL",
    credentials="REALPHONEVALIDATION_TOKEN",
)
_REFUSED = "unauthorized"
_NO_NUMBER = "invalid phone"
"""Not "invalid format": it was sent ten digits, so that says what arrived of the request."""
_NORTH_AMERICA = "+1"

_Flag = Literal["Y", "N", "?"]


class _Code(msgspec.Struct):
    RESPONSECODE: str


class _Answer(msgspec.Struct):
    national_dnc: _Flag
    state_dnc: _Flag
    dma: _Flag
    litigator: _Flag


async def is_on_list(caller: Caller, phone_number: str) -> bool:
    """Whether a number in E.164 is on a national, state or trade association's list. Raises OutboundError."""
    if not phone_number.startswith(_NORTH_AMERICA):
        return False
    request = Request(
        method="POST",  # which it takes as well as GET, and which keeps the token out of access logs
        url=f"{settings.REALPHONEVALIDATION_URL}{_PATH}",
        form={
            "phone": phone_number.removeprefix(_NORTH_AMERICA),
            "token": settings.REALPHONEVALIDATION_TOKEN,
            "output": "json",
        },
    )
    try:
        return await caller.ask("realphonevalidation", phone_number, request, read, tells=lambda _: True)
    except OutboundError as exc:
        if exc.failure is Failure.PERMANENT:  # no list can have what is no number to it
            return False
        raise


def read(response: Response) -> bool:
    """Whether any list has the number. Raises OutboundError, RateLimited."""
    ENDPOINT.check_status(response)
    said = ENDPOINT.read(response, _Code).RESPONSECODE.lower()
    if said == _REFUSED:
        ENDPOINT.refused(said)
    if said == _NO_NUMBER:
        raise OutboundError("RealPhoneValidation can't tell: invalid phone", Failure.PERMANENT)
    if said != "ok":
        raise OutboundError(f"RealPhoneValidation answered {said[:40]!r}", Failure.RETRYABLE)
    answer = ENDPOINT.read(response, _Answer)
    lists = {answer.national_dnc, answer.state_dnc, answer.dma, answer.litigator}
    if "Y" not in lists and answer.national_dnc == "?":
        raise OutboundError("RealPhoneValidation timed out", Failure.RETRYABLE)
    return "Y" in lists
