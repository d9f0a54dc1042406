"""The gateway that sends nothing: the row says what would have been sent, the log that it would have been."""

from collections.abc import Sequence
from datetime import datetime

import structlog

from journeys.messages.gateways import Outgoing
from trackly.outbound import Caller

logger = structlog.get_logger(__name__)


class Log:
    name = "log"

    async def send(self, caller: Caller, message: Outgoing) -> str:  # noqa: ARG002
        logger.info(
            "message", from_number=message.from_number, to_number=message.to_number, text=message.text
        )
        return ""

    async def find(self, caller: Caller, message: Outgoing, key: int, since: datetime) -> Sequence[str]:  # noqa: ARG002
        """The row is all that there is of it."""
        return [f"row-{key}"]
