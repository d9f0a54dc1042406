"""Paid validation's sources, and the disposition that follows from what they say."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from django.conf import settings

from billing.models import Disposition
from trackly import outbound


class ProviderFailed(Exception):
    """The provider gave no answer after every try: `provider_error`, nothing is charged (contract)."""


class _Answer(msgspec.Struct):
    valid: bool
    in_service: bool | None
    line_type: str
    carrier: str
    ported: bool
    on_dnc: bool
    country: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What paid validation found of a number: contract, "Paid validation", without cost and cached."""

    disposition: Disposition
    valid: bool
    line_type: str
    carrier: str
    ported: bool
    on_dnc: bool
    country: str

    @property
    def rejects(self) -> bool:
        return self.disposition in (Disposition.UNREACHABLE, Disposition.INVALID)

    def as_json(self, *, micro_dollars: int) -> dict[str, Any]:
        """The contract's `validation` object. A look-up that cost nothing came from memory."""
        return {
            "disposition": str(self.disposition),
            "valid": self.valid,
            "line_type": self.line_type,
            "carrier": self.carrier,
            "ported": self.ported,
            "on_dnc": self.on_dnc,
            "country": self.country,
            "cost": micro_dollars / 1_000_000,
            "cached": micro_dollars == 0,
        }


def disposition(answer: _Answer) -> Disposition:
    """The contract's words, the worst first."""
    if not answer.valid:
        return Disposition.INVALID
    if answer.line_type == "landline" or answer.in_service is False:
        return Disposition.UNREACHABLE
    if answer.line_type == "voip" or answer.on_dnc:
        return Disposition.RISKY
    if answer.line_type != "mobile" or answer.in_service is None:
        return Disposition.UNKNOWN
    return Disposition.OK


async def look_up(client: httpx.AsyncClient, phone_number: str) -> Finding:
    """Have the number validated. Raises ProviderFailed where nobody answers, or no provider is set up."""
    if not settings.TRACKLY_SANDBOX:
        raise ProviderFailed("no validation provider is set up")
    try:
        answer = await outbound.get(
            client, f"{settings.TRACKLY_SANDBOX_URL}/validation/{quote(phone_number)}", _Answer
        )
    except outbound.OutboundError as exc:
        raise ProviderFailed(str(exc)) from exc
    return Finding(
        disposition=disposition(answer),
        valid=answer.valid,
        line_type=answer.line_type,
        carrier=answer.carrier,
        ported=answer.ported,
        on_dnc=answer.on_dnc,
        country=answer.country,
    )
