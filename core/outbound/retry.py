"""When a question is asked again: how often, after how long."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_WAITS = 5
"""How often one question waits because the service asks for it (429), beside its tries."""
LONGEST_WAIT = 30.0
"""Seconds; a service that asks for a longer wait is not waited for."""


def backoff(tried: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds before the next try, after `tried` failed ones: doubling from 0.2 to 5, half of it jitter."""
    cap: float = min(5.0, 0.2 * 2 ** (tried - 1))
    return cap / 2 + uniform(0, cap / 2)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a `Retry-After` asks for (RFC 9110, 10.2.3: seconds, or a date), if any."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - (now or datetime.now(UTC))).total_seconds())
