"""How much work may wait: beyond it requests are refused, before memory or disk become the limit."""

import threading
import time

from django.conf import settings

from trackly import sql
from trackly.api.errors import ApiError

RETRY_AFTER_SECONDS = 30
_LOOK_EVERY = 1.0
"""Seconds; a process counts no more often."""

_WAITING = "SELECT COALESCE(sum(size), 0) AS contacts FROM bulk_bulkslice WHERE status = 'pending'"


class _Backlog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._contacts = 0

    def contacts(self) -> int:
        """Contacts that wait, as of a second ago at most."""
        with self._lock:
            if time.monotonic() - self._looked_at >= _LOOK_EVERY:
                [row] = sql.rows(_WAITING, {})
                self._contacts, self._looked_at = int(row["contacts"]), time.monotonic()
            return self._contacts

    def forget(self) -> None:
        """Count anew."""
        self._looked_at = float("-inf")


backlog = _Backlog()


def require_room() -> None:
    """Raises 503 `unavailable` if TRACKLY_MAX_BACKLOG contacts wait already (contract, "Every request")."""
    if settings.TRACKLY_MAX_BACKLOG and backlog.contacts() >= settings.TRACKLY_MAX_BACKLOG:
        raise ApiError(
            503,
            "unavailable",
            "Too much work is waiting already. Nothing was accepted; send it again later.",
            {"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
