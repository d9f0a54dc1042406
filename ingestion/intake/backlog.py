"""How much work may wait: beyond it requests are refused, before memory or disk become the limit."""

import threading
import time
from collections.abc import Mapping

from django.conf import settings

from core import sql
from core.http.errors import ApiError

RETRY_AFTER_SECONDS = 30
_LOOK_EVERY = 1.0
"""Seconds; a process counts no more often."""

# The job of each slice by its key: a join would read all jobs.
_WAITING = """
SELECT (SELECT job.account_id FROM bulk_bulkjob AS job WHERE job.id = slice.job_id) AS account_id,
    sum(slice.size) AS contacts
FROM bulk_bulkslice AS slice WHERE slice.status = 'pending' GROUP BY 1
"""


class _Backlog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._contacts: Mapping[int, int] = {}

    def contacts(self) -> Mapping[int, int]:
        """Contacts that wait, by their account, as of a second ago at most."""
        with self._lock:
            if time.monotonic() - self._looked_at >= _LOOK_EVERY:
                found = sql.rows(_WAITING, {})
                self._contacts = {row["account_id"]: int(row["contacts"]) for row in found}
                self._looked_at = time.monotonic()
            return self._contacts

    def forget(self) -> None:
        """Count anew."""
        self._looked_at = float("-inf")


backlog = _Backlog()


def require_room(account_id: int) -> None:
    """Raises 503 `unavailable` where too much waits for a worker (contract, "Every request").

    That is TRACKLY_MAX_BACKLOG contacts of all accounts, or TRACKLY_ACCOUNT_BACKLOG of this one: what one
    account sends does not close the door to the others.
    """
    of_all, of_one = settings.TRACKLY_MAX_BACKLOG, settings.TRACKLY_ACCOUNT_BACKLOG
    if not of_all and not of_one:
        return
    waiting = backlog.contacts()
    if of_all and sum(waiting.values()) >= of_all:
        raise _unavailable("Too much work is waiting already.")
    if of_one and waiting.get(account_id, 0) >= of_one:
        raise _unavailable("Too many of this account's contacts are waiting already.")


def _unavailable(why: str) -> ApiError:
    return ApiError(
        503,
        "unavailable",
        f"{why} Nothing was accepted; send it again later.",
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )
