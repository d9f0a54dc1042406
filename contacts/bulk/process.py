"""A slice, from its payload to its rows. May run any number of times, also at once; takes effect once."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from billing import ledger
from contacts.bulk import checks
from contacts.bulk.accept import Item, cut, new_slice, unpack
from contacts.bulk.checks import Findings
from contacts.bulk.entries import Entry, Outcome, alive, find_lists, read
from contacts.bulk.models import BulkJob, BulkSlice, Lane, SliceStatus
from contacts.bulk.write import Counts, write
from trackly import sql
from trackly.api import json

logger = structlog.get_logger(__name__)

_TRIES_AT_COMMIT = 5
_RUN_AGAIN = {"40001", "40P01"}
"""SQLSTATE: serialization_failure, deadlock_detected."""

# One statement takes the slice, counts the attempt and reads what is needed. Losing the count in a crash of
# the server is harmless, so nobody waits for the disk.
_CLAIM = """
UPDATE bulk_bulkslice AS slice SET attempts = slice.attempts + 1
FROM bulk_bulkjob AS job JOIN accounts_account AS account ON account.id = job.account_id
WHERE slice.id = %(id)s AND slice.status = 'pending' AND job.id = slice.job_id
RETURNING slice.job_id, slice.lane, slice.payload, slice.attempts, job.created_at AS accepted_at,
          job.account_id, account.rejects_voip
"""

_FINISH = """
WITH slice AS (
    UPDATE bulk_bulkslice SET status = %(status)s, finished_at = now(), size = %(size)s,
        success_count = %(success)s, error_count = %(errors_count)s, contacts_created = %(contacts_created)s,
        list_contacts_created = %(list_contacts_created)s, journeys_enrolled = %(journeys_enrolled)s,
        results = %(results)s, errors = %(errors)s, lists = %(lists)s::jsonb
    WHERE id = %(id)s RETURNING job_id
)
UPDATE bulk_bulkjob AS job
SET status = CASE job.status WHEN 'queued' THEN 'processing' ELSE job.status END,
    started_at = COALESCE(job.started_at, %(started)s),
    processed = job.processed + %(size)s, success_count = job.success_count + %(success)s,
    error_count = job.error_count + %(errors_count)s
FROM slice WHERE job.id = slice.job_id
"""


@dataclass(frozen=True)
class Claim:
    """A pending slice that this process is at."""

    id: int
    job_id: Any
    lane: str
    items: list[Item]
    attempts: int
    accepted_at: datetime
    account_id: int
    rejects_voip: bool
    started: datetime


def claim(slice_id: int) -> Claim | None:
    """Take the slice; None if it has been done. Another process may have taken it as well."""
    with transaction.atomic():
        sql.rows("SET LOCAL synchronous_commit = off", {})
        taken = sql.rows(_CLAIM, {"id": slice_id})
    if not taken:
        return None
    row = taken[0]
    payload = row.pop("payload")
    return Claim(id=slice_id, items=unpack(payload), started=timezone.now(), **row)


def process(slice_id: int) -> list[int]:
    """Process a slice; returns the ids of the slices that were made of what needs the network.

    Nothing happens if it has been done. Raises whatever goes wrong; nothing has taken effect then.
    """
    taken = claim(slice_id)
    if taken is None:
        return []
    entries = [read(index, raw) for index, raw in taken.items]
    if taken.attempts > settings.TRACKLY_SLICE_ATTEMPTS:
        logger.error("slice_given_up", slice=slice_id, job=str(taken.job_id), attempts=taken.attempts - 1)
        return _commit(taken, lambda: _finish(taken, entries, Counts(), {}, SliceStatus.FAILED))
    find_lists(taken.account_id, entries)
    found = checks.known(taken.account_id, taken.rejects_voip, entries)
    later: list[Entry] = []
    if taken.lane == Lane.LIVE:
        checks.look_up(entries, found, rejects_voip=taken.rejects_voip)
    else:
        entries, later = _put_off(entries, found)
    return _commit(taken, lambda: _take_effect(taken, entries, later, found))


def _put_off(entries: Sequence[Entry], found: Findings) -> tuple[list[Entry], list[Entry]]:
    """What can be processed at once, and what needs the network: all contacts of a number or none."""
    slow = {contact.phone_number for _, contact in alive(entries) if checks.needs_network(contact, found)}
    later = {entry.index for entry, contact in alive(entries) if contact.phone_number in slow}
    return [entry for entry in entries if entry.index not in later], [
        entry for entry in entries if entry.index in later
    ]


def _commit(taken: Claim, effect: Callable[[], list[int]]) -> list[int]:
    """Run `effect` in a transaction, unless the slice was done meanwhile; again after a deadlock."""
    for tries_left in reversed(range(_TRIES_AT_COMMIT)):
        try:
            with transaction.atomic():
                locked = BulkSlice.objects.select_for_update(of=("self",)).filter(pk=taken.id)
                if locked.values_list("status", flat=True).first() != SliceStatus.PENDING:
                    return []
                return effect()
        except OperationalError as exc:
            if getattr(exc.__cause__, "sqlstate", None) not in _RUN_AGAIN or not tries_left:
                raise
            logger.warning("slice_runs_again", slice=taken.id, cause=type(exc.__cause__).__name__)
    raise AssertionError("unreachable: the last try returns or raises")


def _take_effect(
    taken: Claim, entries: Sequence[Entry], later: Sequence[Entry], found: Findings
) -> list[int]:
    """Everything that the slice does, in the caller's transaction; the ids of the slices made of `later`."""
    entries = [copy(entry) for entry in entries]  # may be called again after a rollback
    charged = ledger.record(taken.account_id, found.new_validations)
    known = {**found.validations, **found.new_validations}
    # Somebody else paid for these meanwhile; what is stored counts, not what we were told.
    known.update(ledger.known(taken.account_id, found.new_validations.keys() - charged))
    checks.reject_invalid(entries, replace(found, validations=known), charged)
    counts, opted_out = write(entries, found, accepted_at=taken.accepted_at)
    _finish(taken, entries, counts, opted_out, SliceStatus.DONE)
    job = BulkJob(pk=taken.job_id)
    made = [
        new_slice(job, items, Lane.LIVE) for items in cut(_by_number(later), settings.TRACKLY_LIVE_SLICE_SIZE)
    ]
    return [live.pk for live in BulkSlice.objects.bulk_create(made)]


def _by_number(entries: Sequence[Entry]) -> list[list[Item]]:
    groups: dict[str, list[Item]] = {}
    for entry, contact in alive(entries):
        groups.setdefault(contact.phone_number, []).append((entry.index, entry.raw))
    return list(groups.values())


def _finish(
    taken: Claim,
    entries: Sequence[Entry],
    counts: Counts,
    opted_out: dict[str, int],
    status: SliceStatus,
) -> list[int]:
    """Mark the slice as ended, with what it did, and move the job's counters."""
    failed = [entry for entry in entries if entry.outcome == Outcome.FAILED]
    lists = {
        str(entry.list_id): [False, opted_out.get(str(entry.list_id), 0)]
        for entry in entries
        if entry.list_id
    }
    for entry in entries:
        if entry.list_id and entry.contact is not None and entry.contact.use_journeys:
            lists[str(entry.list_id)][0] = True
    sql.rows(
        _FINISH,
        {
            "id": taken.id,
            "status": status,
            "started": taken.started,
            "size": len(entries),
            "success": len(entries) - len(failed),
            "errors_count": len(failed),
            **asdict(counts),
            "results": json.encode([entry.result() for entry in entries]).decode(),
            "errors": json.dumps([entry.error_entry() for entry in failed]),
            "lists": json.encode(lists).decode(),
        },
    )
    return []
