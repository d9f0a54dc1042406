"""The gateway that sends nothing: the row says what would have been sent, the log that it would have been."""

from datetime import timedelta

import structlog

from core.outbound import Caller, Permit
from journeys.messages.gateways.base import Found, Outgoing

logger = structlog.get_logger(__name__)


class Log:
    name = "log"

    async def send(self, caller: Caller, message: Outgoing, permit: Permit | None = None) -> str:
        logger.info(
            "message", from_number=message.from_number, to_number=message.to_number, text=message.text
        )
        return ""

    async def find(self, caller: Caller, message: Outgoing, key: int, age: timedelta) -> Found:
        """The row is all that there is of it."""
        return Found(same=[f"row-{key}"])
