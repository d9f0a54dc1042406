"""Providers that know phone numbers, one file each; which of them are asked, settings say."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from core.outbound import Caller, Failure, OutboundError
from lookups.line import Line
from lookups.sources import telnyx, twilio

logger = structlog.get_logger(__name__)

SOURCES: dict[str, Callable[[Caller, str], Awaitable[Line]]] = {
    "twilio": twilio.look_up,
    "telnyx": telnyx.look_up,
}


async def first_answer(caller: Caller, names: Sequence[str], phone_number: str) -> Line:
    """Ask the named sources in their order until one answers.

    Where all document that they can't tell of the number, that is the answer. Raises OutboundError, the last
    one that means trouble, where no source answers.
    """
    failures: list[OutboundError] = []
    for name in names:
        try:
            return await SOURCES[name](caller, phone_number)
        except OutboundError as exc:
            failures.append(exc)
    troubles = [failure for failure in failures if failure.failure is not Failure.PERMANENT]
    if failures and not troubles:
        return Line()
    raise troubles[-1] if troubles else OutboundError("no source is set up", Failure.MISCONFIGURED)
