"""What a provider says of a number, in words that all of them share."""

from dataclasses import dataclass
from enum import StrEnum


class LineKind(StrEnum):
    """The kinds of line that phonenumbers, Twilio and Telnyx tell apart."""

    MOBILE = "mobile"
    LANDLINE = "landline"
    VOIP = "voip"
    TOLL_FREE = "toll_free"
    PREMIUM = "premium"
    SHARED_COST = "shared_cost"
    PERSONAL = "personal"
    PAGER = "pager"
    UAN = "uan"
    """A company's number for the whole country."""
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"
    """Also "fixed line or mobile": in North America the number alone does not tell."""


WITHOUT_TEXT = {
    LineKind.LANDLINE,
    LineKind.TOLL_FREE,
    LineKind.PREMIUM,
    LineKind.SHARED_COST,
    LineKind.PAGER,
    LineKind.UAN,
    LineKind.VOICEMAIL,
}
"""The kinds that can't take a text message (contract, "Carrier validation")."""

NOT_IN_SERVICE = "not_in_service"
NOT_SENDABLE_REASONS = [
    *(NOT_IN_SERVICE, "landline", "toll_free", "premium_rate", "shared_cost", "pager", "uan", "voicemail"),
    "voip",
]
"""The `reason` of a `not_sendable` entry; `voip` where the account rejects VOIP (contract, "Reading")."""


def words(said: str | None) -> str:
    """A provider's text, as a column can hold it."""
    return (said or "").replace("\0", "")[:200]


@dataclass(frozen=True, slots=True)
class Line:
    """A number, as a provider sees it."""

    valid: bool = True
    """Whether there is such a number."""
    in_service: bool | None = None
    """None: the provider can't tell."""
    kind: LineKind = LineKind.UNKNOWN
    carrier: str = ""
    ported: bool = False
    country: str = ""
    """ISO 3166-1, two letters."""

    @property
    def obstacle(self) -> str:
        """Why it can't take a text message, in the contract's words ("Reading"); empty: no reason is known.

        A number that there isn't is in no service; a line of any kind that is out of service is that first.
        """
        if not self.valid or self.in_service is False:
            return NOT_IN_SERVICE
        if self.kind not in WITHOUT_TEXT:
            return ""
        return "premium_rate" if self.kind == LineKind.PREMIUM else str(self.kind)

    @property
    def takes_text(self) -> bool:
        """Nothing speaks against a text message."""
        return not self.obstacle

    def tells_something(self) -> bool:
        """Whether the provider knows anything that a disposition depends on."""
        return not self.valid or self.in_service is not None or self.kind is not LineKind.UNKNOWN
