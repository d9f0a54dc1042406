"""Providers that know phone numbers, one file each; which of them are asked, settings say."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from trackly.lookups.line import Line
from trackly.lookups.sources import telnyx, twilio
from trackly.outbound import Caller, OutboundError, Verdict

logger = structlog.get_logger(__name__)

SOURCES: dict[str, Callable[[Caller, str], Awaitable[Line]]] = {
    "twilio": twilio.look_up,
    "telnyx": telnyx.look_up,
}


async def first_answer(caller: Caller, names: Sequence[str], phone_number: str) -> Line:
    """Ask the named sources in their order until one answers.

    Raises OutboundError, the last one's, where none does.
    """
    failure = OutboundError("no source is set up", Verdict.NOT_US)
    for name in names:
        try:
            return await SOURCES[name](caller, phone_number)
        except OutboundError as exc:
            failure = exc
    raise failure
