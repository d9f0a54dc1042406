"""Twilio's Messages API.

https://www.twilio.com/docs/messaging/api/message-resource; errors: https://www.twilio.com/docs/api/errors. It
has no idempotency keys, so a message is posted once and then looked for in Twilio's list. There texts and the
last digits of recipients may be hidden (docs/messaging/guides/privacy-message-redaction), and times are
Twilio's: they are only compared with the same answer's `Date`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated

import msgspec
from django.conf import settings

from core.outbound import Caller, Endpoint, Failure, OutboundError, Permit, Request, Response
from core.outbound.twilio import CREDENTIALS, REFUSED, TOO_FAST, credentials, error_code
from journeys.messages.gateways.base import Found, OptedOut, Outgoing

_SERVICE = "twilio_messages"
ENDPOINT = Endpoint(
    name="Twilio",
    path="/2010-04-01/Accounts/…/Messages.json",
    address="TWILIO_MESSAGES_URL",
    credentials=CREDENTIALS,
)
_OPTED_OUT = 21610
# About this message: another day changes nothing.
_NOT_THIS_MESSAGE = {
    21211,  # no such To number
    21217,
    21265,  # a short code
    21266,  # To and From are the same
    21408,  # the account may not text this region
    21602,  # no text
    21605,  # the text is too long
    21612,  # no route to it
    21614,  # not a mobile
    21617,  # the text is too long
    21635,  # a landline
}
_GENERAL = range(20000, 21000)
"""The codes of Twilio's APIs as such: what is wrong is not the message. Others are about it, or its sender.

Twilio adds codes, so one that is not known is taken for the sender's: it waits for a day, and fails with it.
"""
PATIENCE_SECONDS = 10.0
"""For the rate limiter. Consent and quiet hours were checked before; after it they are checked anew."""
_CREATED, _TOO_MANY, _SERVER_ERROR = 201, 429, 500
_ROUNDING = timedelta(minutes=1)
"""How far apart two of Twilio's machines, and the seconds that they show, may be."""
_PAGE_SIZE = 1000
"""The largest that there is."""


class _Taken(msgspec.Struct):
    sid: Annotated[str, msgspec.Meta(pattern="^(SM|MM)")]


class _Message(msgspec.Struct):
    sid: str
    to: str
    body: str | None = None
    date_created: str | None = None
    direction: str | None = None


class _Page(msgspec.Struct):
    uri: str
    messages: list[_Message]
    next_page_uri: str | None


@dataclass(frozen=True)
class _Listed:
    """The newest messages of a query."""

    messages: Sequence[_Message]
    """Those sent by us that may be young enough."""
    is_whole: bool
    """There are no others that young."""


class Twilio:
    name = "twilio"

    async def send(self, caller: Caller, message: Outgoing, permit: Permit | None = None) -> str:
        form = {"To": message.to_number, "From": message.from_number, "Body": message.text}
        request = Request(
            method="POST",
            url=_url(),
            form=form,
            headers=credentials(),
            once=True,
            patience=PATIENCE_SECONDS,
            timeout=settings.TRACKLY_MESSAGE_TIMEOUT,
            permit=permit,
        )
        return await caller.ask(_SERVICE, message.to_number, request, read)

    async def find(self, caller: Caller, message: Outgoing, key: int, age: timedelta) -> Found:
        """Messages without a text, or to a number with hidden digits, are candidates too: see Found."""
        numbers = {"To": message.to_number, "From": message.from_number}
        listed = await _list(caller, message, numbers, age)
        text = message.text.strip()
        same = [found.sid for found in listed.messages if (found.body or "").strip() == text]
        unreadable = [found.sid for found in listed.messages if not (found.body or "").strip()]
        if same or unreadable or not listed.is_whole:
            doubt = "" if listed.is_whole else "Twilio's list of messages to this number is too long to tell."
            return Found(same, unreadable, doubt)
        # Where Twilio hides digits, a query by To may not find the number.
        sent = await _list(caller, message, {"From": message.from_number}, age)
        hidden = [found.to for found in sent.messages if "X" in found.to]
        if any(_may_be(to, message.to_number) for to in hidden) or (hidden and not sent.is_whole):
            return Found(doubt="Twilio hides digits of recipients: one of its messages may be this one.")
        return Found()


async def _list(caller: Caller, message: Outgoing, query: Mapping[str, str], age: timedelta) -> _Listed:
    request = Request(url=_url(), params={**query, "PageSize": str(_PAGE_SIZE)}, headers=credentials())

    def read_page(response: Response) -> _Listed:
        _check(response)
        page = ENDPOINT.read(response, _Page)
        if not page.uri.startswith(_path()):  # of another account, or of no Twilio
            ENDPOINT.undocumented(response)
        now = _moment(response.headers.get("Date"))
        young = [
            found for found in page.messages if _is_young(_moment(found.date_created), now, age + _ROUNDING)
        ]
        is_whole = page.next_page_uri is None or len(young) < len(page.messages)  # newest first
        return _Listed([found for found in young if found.direction != "inbound"], is_whole)

    return await caller.ask(_SERVICE, message.to_number, request, read_page)


def _is_young(created: datetime | None, now: datetime | None, age: timedelta) -> bool:
    """By one clock, Twilio's; where it does not say, it may be."""
    return created is None or now is None or now - created <= age


def _may_be(shown: str, number: str) -> bool:
    """Whether a number some digits of which are shown as X may be this one."""
    return len(shown) == len(number) and all(
        one in ("X", other) for one, other in zip(shown, number, strict=True)
    )


def _path() -> str:
    return f"/2010-04-01/Accounts/{settings.TWILIO_ACCOUNT_SID}/Messages.json"


def _url() -> str:
    return f"{settings.TWILIO_MESSAGES_URL}{_path()}"


def _moment(said: str | None) -> datetime | None:
    """A time as RFC 2822 and HTTP have it, as Twilio says when; None if it does not."""
    try:
        moment = parsedate_to_datetime(said or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read(response: Response) -> str:
    """The message's SID. Raises OutboundError, RateLimited.

    A refusal without a code of Twilio's may be of something in between, which may have passed the message on.
    """
    if response.status == _CREATED:
        return ENDPOINT.read(response, _Taken).sid
    try:
        _check(response)
        ENDPOINT.undocumented(response)  # 200: nothing was created, but what was done?
    except OutboundError as exc:
        if error_code(response) and response.status < _SERVER_ERROR:
            raise
        raise OutboundError(str(exc), Failure.AMBIGUOUS) from exc


def _check(response: Response) -> None:
    code = error_code(response)
    if code in TOO_FAST:
        ENDPOINT.rate_limited(response)
    if code == _OPTED_OUT:
        raise OptedOut("the contact has opted out (21610)", Failure.PERMANENT)
    if code in REFUSED:
        ENDPOINT.refused(code)
    if code in _NOT_THIS_MESSAGE:
        raise OutboundError(f"refused with {code}", Failure.PERMANENT)
    if code and code not in _GENERAL and response.status < _SERVER_ERROR:
        raise OutboundError(f"not taken from this number: {code}", Failure.DEFERRED)
    ENDPOINT.check_status(response, code=code)
