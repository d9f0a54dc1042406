"""Ways out for messages, one file each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.conf import settings

from trackly.outbound import Caller, OutboundError


@dataclass(frozen=True)
class Outgoing:
    """A message on its way out; numbers in E.164."""

    from_number: str
    to_number: str
    text: str


class OptedOut(OutboundError):
    """The gateway knows that the contact wants no messages from this number."""


class Gateway(Protocol):
    """Takes messages. A module is one."""

    name: str

    async def send(self, caller: Caller, message: Outgoing) -> str:
        """Hand a message over, once; the gateway's id of it (empty: it has none).

        Raises OutboundError: MAYBE where the gateway may have it all the same.
        """

    async def find(self, caller: Caller, message: Outgoing, key: int, since: datetime) -> Sequence[str]:
        """The gateway's ids of what it took `since` then and may be this message, newest first.

        `key`: our own id of it. Raises OutboundError.
        """


def gateway(name: str = "") -> Gateway:
    """The gateway of that name; without one, the one that TRACKLY_MESSAGES names."""
    from journeys.messages.gateways import log, twilio  # noqa: PLC0415 - they need what stands above

    gateways: dict[str, Gateway] = {"log": log.Log(), "twilio": twilio.Twilio()}
    return gateways[name or settings.TRACKLY_MESSAGES]
