"""What a gateway takes, gives and raises."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from core.outbound import Caller, OutboundError, Permit


@dataclass(frozen=True)
class Outgoing:
    """A message on its way out; numbers in E.164."""

    from_number: str
    to_number: str
    text: str


class OptedOut(OutboundError):
    """The gateway knows that the contact wants no messages from this number."""


@dataclass(frozen=True)
class Found:
    """What a gateway's list has that may be a certain message, as ids of the gateway's, newest first."""

    same: Sequence[str] = ()
    """Of the same numbers, text and time."""
    unreadable: Sequence[str] = ()
    """Of the same numbers and time; the list does not show the text."""
    doubt: str = ""
    """Why the list can't rule out that it has the message; empty: it has what stands here, and no more."""


class Gateway(Protocol):
    """Takes messages. A module is one."""

    name: str

    async def send(self, caller: Caller, message: Outgoing, permit: Permit | None = None) -> str:
        """Hand a message over, once; the gateway's id of it (empty: it has none).

        `permit` is asked before each try. Raises what it raises, and OutboundError: AMBIGUOUS where the
        gateway may have the message all the same.
        """

    async def find(self, caller: Caller, message: Outgoing, key: int, age: timedelta) -> Found:
        """What the gateway has taken since the message was made, `age` ago, and may be it.

        An age, as the gateway's clock is not ours. `key`: our own id of it. Raises OutboundError.
        """
