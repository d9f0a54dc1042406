"""What every source of carrier facts answers."""

from dataclasses import dataclass

from contacts.models import LineType


class LookupFailed(Exception):
    """The source gave no answer: the number is accepted as unverified (contract).

    It is looked up again with the next batch that names it.
    """


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a number."""

    line_type: LineType = LineType.UNKNOWN
    can_receive: bool = True
    """In service, and of a kind that takes text messages."""
    carrier: str = ""
    time_zone: str = ""
    """IANA name; empty: unknown."""
    verified: bool = True
    """False: nobody answered; the facts are defaults."""


UNVERIFIED = Facts(verified=False)
