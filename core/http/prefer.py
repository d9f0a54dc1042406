"""RFC 7240: what the client prefers, `respond-async` or `wait=N`, and what came of it."""

import re
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
"""A token (RFC 9110, 5.6.2)."""


@dataclass(frozen=True)
class Wait:
    """How long the answer may wait, in seconds, and what `Preference-Applied` says of it."""

    seconds: float
    applied: str | None


def wait_of(request: HttpRequest) -> Wait:
    """Read `Prefer`. Default: the server's maximum. A preference that can't be read is ignored (RFC 7240, 2).

    `respond-async` alone: no wait. `wait=N`: up to N seconds, at most the server's maximum, also beside
    `respond-async` (RFC 7240, 4.3). Of a preference given twice the first counts.
    """
    preferences: dict[str, str] = {}
    for part in request.headers.get("Prefer", "").split(","):
        name, _, value = part.partition(";")[0].partition("=")
        if _NAME.fullmatch(name.strip()):
            preferences.setdefault(name.strip().lower(), value.strip().strip('"'))
    maximum: float = settings.TRACKLY_MAX_WAIT
    asynchronous = "respond-async" in preferences
    wait = preferences.get("wait", "")
    if re.fullmatch(r"[0-9]{1,9}", wait):
        seconds = min(float(wait), maximum)
        applied = f"wait={seconds:.0f}"
        return Wait(seconds, f"respond-async, {applied}" if asynchronous else applied)
    return Wait(0, "respond-async") if asynchronous else Wait(maximum, None)
