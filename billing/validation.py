"""Paid validation: what is asked of providers, and the disposition that follows from what they say."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings

from billing.models import Disposition
from core.outbound import Caller
from lookups.line import WITHOUT_TEXT, Line, LineKind
from lookups.models import Kind
from lookups.single_flight import Question
from lookups.sources import first_answer, realphonevalidation

KEPT = timedelta(days=1)
"""For how long an answer waits to be paid for: a slice that was killed before it committed runs again."""
_PAUSE = timedelta(seconds=5)
"""For so long after an unanswered question, `provider_error` is returned without asking again."""


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


def disposition(line: Line, *, on_dnc: bool) -> Disposition:
    """The contract's words, the worst first. Kinds that can't take a text message are fixed lines to it."""
    if not line.valid:
        return Disposition.INVALID
    if line.kind in WITHOUT_TEXT or line.in_service is False:
        return Disposition.UNREACHABLE
    if line.kind == LineKind.VOIP or on_dnc:
        return Disposition.RISKY
    if line.kind != LineKind.MOBILE or line.in_service is None:
        return Disposition.UNKNOWN
    return Disposition.OK


def look_up(account_id: int, phone_numbers: Iterable[str], *, keep: Callable[[], None]) -> dict[str, Finding]:
    """Have numbers validated for an account; an unanswered number is missing, and is not charged.

    Answers are stored before the account is charged for them, so that a worker that dies between the two does
    not make us pay the provider again. Call it outside of transactions; `keep` is called every few seconds.
    """
    line: Question[Line] = Question(
        kind=Kind.VALIDATION, scope=account_id, ask=_ask, answer=Line, ttl=KEPT, pause=_PAUSE, longest=_PAUSE
    )
    lines = line.answers(phone_numbers, keep=keep)
    if not settings.TRACKLY_DO_NOT_CALL:
        return {number: _finding(found, on_dnc=False) for number, found in lines.items()}
    listed: Question[bool] = Question(
        kind=Kind.DO_NOT_CALL,
        ask=realphonevalidation.is_on_list,
        answer=bool,
        ttl=KEPT,
        pause=_PAUSE,
        longest=_PAUSE,
    )
    asked = [number for number, found in lines.items() if found.takes_text]
    on_dnc = listed.answers(asked, keep=keep)
    return {
        number: _finding(found, on_dnc=on_dnc.get(number, False))
        for number, found in lines.items()
        if number in on_dnc or not found.takes_text
    }


async def _ask(caller: Caller, phone_number: str) -> Line:
    """Ask TRACKLY_VALIDATION's sources in order. Raises OutboundError."""
    return await first_answer(caller, settings.TRACKLY_VALIDATION, phone_number)


def _finding(line: Line, *, on_dnc: bool) -> Finding:
    return Finding(
        disposition=disposition(line, on_dnc=on_dnc),
        valid=line.valid,
        line_type=str(line.kind),
        carrier=line.carrier,
        ported=line.ported,
        on_dnc=on_dnc,
        country=line.country[:2],
    )
