"""`?dry_run=true`: the way of a batch, without its look-ups and without writing or locking anything."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import Account
from billing.gate import require_billable
from core import sql
from core.http.errors import ApiError
from ingestion.batch import Batch
from ingestion.pipeline import screening
from ingestion.pipeline.apply import forecast
from ingestion.pipeline.entries import find_lists, read
from ingestion.pipeline.report import report, summarize

_AT_ONCE = 2
"""In a web process: what a dry run costs, other requests wait for."""
_STEP_SECONDS = 0.1
"""An answer takes a multiple of it, so that its time does not tell what the database found of a number."""
_running: set[int] = set()
_lock = threading.Lock()


def dry_run(account: Account, batch: Batch) -> dict[str, Any]:
    """The summary of what would happen, as far as the account can know it before.

    `contacts_created` counts numbers that are new to the account. What it knows of a number is used; of all
    others it is assumed that look-ups would accept them. Raises 402 as acceptance would, 503 while the
    account has a dry run under way in this process already.
    """
    if batch.asks_for_validation:
        require_billable(account)
    with _alone(account.pk), _in_steps(), transaction.atomic():
        sql.prefer_indexes()
        entries = [read(index, raw) for index, raw in batch.items]
        predecessors = find_lists(account.pk, entries)
        found = screening.known_to_account(account.pk, account.rejects_voip, entries)
        screening.reject_invalid(entries, found, charged=set())
        counts, opted_out = forecast(entries, found, accepted_at=timezone.now(), predecessors=predecessors)
        return {**summarize([report(entries, counts, opted_out, kept=False)]), "dry_run": True}


@contextmanager
def _alone(account_id: int) -> Iterator[None]:
    """Take a place. Raises 503 where the account has one in this process, or all are taken."""
    with _lock:
        if account_id in _running or len(_running) >= _AT_ONCE:
            message = "Dry runs are made one at a time. Send it again in a moment."
            raise ApiError(503, "unavailable", message, {"Retry-After": "1"})
        _running.add(account_id)
    try:
        yield
    finally:
        with _lock:
            _running.discard(account_id)


@contextmanager
def _in_steps() -> Iterator[None]:
    began = time.monotonic()
    yield
    steps = math.ceil((time.monotonic() - began) / _STEP_SECONDS)
    time.sleep(max(0.0, began + steps * _STEP_SECONDS - time.monotonic()))
