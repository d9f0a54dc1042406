"""What every source of carrier facts answers."""

import msgspec

from contacts.models import LineType
from lookups.line import Line, LineKind


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What is known of a number."""

    line_type: LineType = LineType.UNKNOWN
    can_receive: bool = True
    """In service, and of a kind that takes text messages."""
    carrier: str = ""
    time_zone: str = ""
    """IANA name; empty: unknown."""
    reason: str = ""
    """Why it can't take a text message; empty: it can, or the facts were stored before reasons were."""
    verified: bool = True
    """False: no source answered; the facts are defaults."""


UNVERIFIED = Facts(verified=False)

_LINE_TYPES = {
    LineKind.MOBILE: LineType.CELL_PHONE,
    LineKind.VOIP: LineType.VOIP,
    LineKind.LANDLINE: LineType.LANDLINE,
}


def facts_of(line: Line, *, time_zone: str) -> Facts:
    """A provider's words in the contract's (contract, "Carrier validation")."""
    return Facts(
        line_type=_LINE_TYPES.get(line.kind, LineType.UNKNOWN),
        can_receive=line.takes_text,
        carrier=line.carrier,
        time_zone=time_zone,
        reason=line.obstacle,
    )
