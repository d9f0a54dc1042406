"""Twilio's Messages API.

https://www.twilio.com/docs/messaging/api/message-resource; errors: https://www.twilio.com/docs/api/errors. It
has no idempotency keys, so a message is posted once and then looked for in Twilio's list.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec
from django.conf import settings

from journeys.messages.gateways import OptedOut, Outgoing
from trackly.outbound import (
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

_SERVICE = "twilio_messages"
_OPTED_OUT = 21610
# About one From number: other senders' messages go on.
_NOT_BY_THIS_SENDER = {
    21611,  # its queue is full
    21606,  # the From number is not the account's, or can't send
    21659,  # it is no Twilio number
    21660,  # it is not this account's
    30034,  # it is not registered for A2P 10DLC
}
PATIENCE_SECONDS = 10.0
"""Consent and quiet hours were looked at before: a message that gets no turn meanwhile is looked at anew."""
_CREATED = 201
_CLOCKS_DIFFER = timedelta(minutes=1)


class _Message(msgspec.Struct):
    sid: str
    body: str | None = None
    date_created: str | None = None
    direction: str | None = None


class _Page(msgspec.Struct):
    messages: list[_Message]


class Twilio:
    name = "twilio"

    async def send(self, caller: Caller, message: Outgoing) -> str:
        form = {"To": message.to_number, "From": message.from_number, "Body": message.text}
        request = Request(
            method="POST",
            url=_url(),
            form=form,
            headers=credentials(),
            once=True,
            patience=PATIENCE_SECONDS,
            timeout=settings.TRACKLY_MESSAGE_TIMEOUT,
        )
        return await caller.ask(_SERVICE, message.to_number, request, read)

    async def find(self, caller: Caller, message: Outgoing, key: int, since: datetime) -> Sequence[str]:  # noqa: ARG002
        request = Request(
            url=_url(),
            params={"To": message.to_number, "From": message.from_number, "PageSize": "200"},
            headers=credentials(),
        )
        page = await caller.ask(_SERVICE, message.to_number, request, _read_page)
        return [
            found.sid
            for found in page.messages
            if (found.body or "").strip() == message.text.strip()
            and _created(found) >= since - _CLOCKS_DIFFER
        ]


def _url() -> str:
    return f"{settings.TWILIO_MESSAGES_URL}/2010-04-01/Accounts/{settings.TWILIO_ACCOUNT_SID}/Messages.json"


def _created(message: _Message) -> datetime:
    """RFC 2822, as Twilio says when; long ago if it does not."""
    try:
        created = parsedate_to_datetime(message.date_created or "")
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def read(response: Response) -> str:
    """The message's SID. Raises OutboundError, TooFast."""
    if response.status == _CREATED:
        return read_as(response, _Message).sid
    _check(response)
    raise OutboundError(f"answered {response.status}", Verdict.TRY_AGAIN)


def _read_page(response: Response) -> _Page:
    _check(response)
    return read_as(response, _Page)


def _check(response: Response) -> None:
    code = error_code(response)
    if code in TOO_FAST:
        raise TooFast(retry_after(response.headers.get("Retry-After")))
    if code == _OPTED_OUT:
        raise OptedOut("the contact has opted out (21610)", Verdict.NOT_THIS)
    if code in REFUSED:
        raise OutboundError(f"refused with {code}", Verdict.NOT_US)
    if code in _NOT_BY_THIS_SENDER:
        raise OutboundError(f"not taken from this number: {code}", Verdict.LATER)
    if code and response.status < 500 and response.status not in (401, 403, 429):  # noqa: PLR2004
        raise OutboundError(f"refused with {code}", Verdict.NOT_THIS)
    check_status(response)
