"""Ways out for messages, one file each."""

from django.conf import settings

from journeys.messages.gateways import log, twilio
from journeys.messages.gateways.base import Found, Gateway, OptedOut, Outgoing

__all__ = ["Found", "Gateway", "OptedOut", "Outgoing", "gateway"]


def gateway(name: str = "") -> Gateway:
    """The gateway of that name; without one, the one that TRACKLY_MESSAGES names."""
    gateways: dict[str, Gateway] = {"log": log.Log(), "twilio": twilio.Twilio()}
    return gateways[name or settings.TRACKLY_MESSAGES]
