"""A question and its answer on the wire, in words that name no library."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

Permit = Callable[[], Awaitable[float]]
"""Asked right before a request is sent: until when, by boot_clock, it may be written. Raises if never."""
OK = 200
TOO_MANY_REQUESTS = 429
INTERNAL_SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is sent. Its headers may bear a secret, and its URL a phone number: it is never logged."""

    method: str = "GET"
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    once: bool = False
    """It does something each time it arrives: not sent again unless it is known not to have."""
    patience: float | None = None
    """Seconds that it may wait for its turn; None: as long as it takes."""
    timeout: float | None = None
    """Seconds; None: TRACKLY_LOOKUP_TIMEOUT."""
    permit: Permit | None = None
    """Asked before each try; a request that comes to be written too late is not written at all."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """What came back, whole."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def basic(username: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic authentication (RFC 7617)."""
    credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}
