"""RealPhoneValidation's DNC Lookup: whether a number of North America is on a do-not-call list.

https://realphonevalidation.com/api-documentation/dnc-lookup-api-doc; its words: /data-dictionary. Neither
Twilio nor Telnyx can tell.
"""

import msgspec
from django.conf import settings

from trackly.outbound import Caller, OutboundError, Request, Response, Verdict, check_status, read_as

_REFUSED = {"unauthorized"}
_UNANSWERABLE = {"invalid phone", "invalid format"}
_NORTH_AMERICA = "+1"


class _Answer(msgspec.Struct):
    RESPONSECODE: str
    national_dnc: str = ""
    state_dnc: str = ""
    dma: str = ""
    litigator: str = ""


async def is_on_list(caller: Caller, phone_number: str) -> bool:
    """Whether a number in E.164 is on a national, state or trade association's list. Raises OutboundError."""
    if not phone_number.startswith(_NORTH_AMERICA):
        return False
    request = Request(
        method="POST",  # which it takes as well as GET, and which keeps the token out of everybody's logs
        url=f"{settings.REALPHONEVALIDATION_URL}/rpvWebService/DNCLookup.php",
        form={
            "phone": phone_number.removeprefix(_NORTH_AMERICA),
            "token": settings.REALPHONEVALIDATION_TOKEN,
            "output": "json",
        },
    )
    try:
        return await caller.ask("realphonevalidation", phone_number, request, read)
    except OutboundError as exc:
        if exc.verdict is Verdict.NOT_THIS:  # no list can have what is no number to it
            return False
        raise


def read(response: Response) -> bool:
    """Whether any list has the number. Raises OutboundError, TooFast."""
    check_status(response)
    answer = read_as(response, _Answer)
    said = answer.RESPONSECODE.lower()
    if said in _REFUSED:
        raise OutboundError("refused", Verdict.NOT_US)
    if said in _UNANSWERABLE:
        raise OutboundError("can't answer", Verdict.NOT_THIS)
    lists = {answer.national_dnc, answer.state_dnc, answer.dma, answer.litigator}
    if said != "ok" or ("Y" not in lists and answer.national_dnc != "N"):  # "?": it timed out
        raise OutboundError("gave no answer", Verdict.TRY_AGAIN)
    return "Y" in lists
