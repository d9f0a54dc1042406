"""A question and its answer on the wire, in words that name no library."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

OK = 200
TOO_MANY_REQUESTS = 429


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
