"""A slice, from its payload to its rows. May run any number of times, also at once; takes effect once."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q

from billing import ledger
from core import codec, sql
from ingestion import incidents, logs
from ingestion.intake.accept import Item, cut, look_over, new_slice, phone_number_of, unpack
from ingestion.models import BulkJob, BulkSlice, IncidentKind, Lane, SliceStatus
from ingestion.pipeline import screening
from ingestion.pipeline.apply import Counts, write
from ingestion.pipeline.entries import Entry, Outcome, Predecessors, alive, find_lists, read
from ingestion.pipeline.screening import Findings

logger = structlog.get_logger(__name__)

# One statement takes the slice and reads what is needed. A slice that somebody has taken lately is his: the
# sweep may have sent it twice. One that was taken long ago has a worker that fell silent, and one that was
# taken by the very task that this is has a worker that died: failures too.
# To lose the claim in a crash of the server is harmless, so nobody waits for the disk.
_CLAIM = """
UPDATE bulk_bulkslice AS slice
SET claimed_at = now(), claimed_by = %(by)s,
    attempts = slice.attempts + (slice.claimed_at IS NOT NULL)::int
FROM bulk_bulkjob AS job JOIN accounts_account AS account ON account.id = job.account_id,
    set_config('synchronous_commit', COALESCE(%(commit)s, current_setting('synchronous_commit')), true)
WHERE slice.id = %(id)s AND slice.status = 'pending' AND job.id = slice.job_id
    AND (%(anyway)s OR (
        job.cancel_requested_at IS NULL
        AND (slice.claimed_at IS NULL OR slice.claimed_at < now() - make_interval(secs => %(lease)s)
            OR (slice.claimed_by = %(by)s AND %(by)s <> ''))
    ))
RETURNING slice.job_id, slice.claimed_at AS started, slice.lane, slice.payload, slice.attempts,
          slice.error_count AS counted_errors,
          job.created_at AS accepted_at, job.account_id, job.request_id, account.rejects_voip
"""

# The work takes long because the network does: the slice stays ours.
_KEEP = """
UPDATE bulk_bulkslice SET claimed_at = now() WHERE id = %(id)s AND status = 'pending'
"""

# Other slices may want the same contacts: this one waits for their locks for a moment only, and where its
# process stops between two statements the server ends the transaction. Set here, not for the session, so
# that it holds behind PgBouncer too.
_IS_PENDING = """
SELECT id, set_config('lock_timeout', '3s', true),
    set_config('idle_in_transaction_session_timeout', '10s', true)
FROM bulk_bulkslice WHERE id = %(id)s AND status = 'pending' FOR NO KEY UPDATE
"""

# What it waited for is no fault of the slice's: it is free again, and nothing is counted.
_RELEASE = """
UPDATE bulk_bulkslice SET claimed_at = NULL, claimed_by = '' WHERE id = %(id)s AND status = 'pending'
"""

_FAILED = """
UPDATE bulk_bulkslice SET claimed_at = NULL, attempts = attempts + 1 WHERE id = %(id)s AND status = 'pending'
"""

# A slice that runs again after a retry has been counted as errors; only the difference moves the job.
_FINISH = """
WITH slice AS (
    UPDATE bulk_bulkslice AS slice SET status = %(status)s, finished_at = now(), size = %(size)s,
        success_count = %(success_count)s, error_count = %(error_count)s,
        contacts_created = %(contacts_created)s, list_contacts_created = %(list_contacts_created)s,
        journeys_enrolled = %(journeys_enrolled)s,
        results = %(results)s, errors = %(errors)s, lists = %(lists)s::jsonb
    FROM (SELECT id, error_count FROM bulk_bulkslice WHERE id = %(id)s) AS before
    WHERE slice.id = before.id
    RETURNING slice.job_id, before.error_count AS errors_before
)
UPDATE bulk_bulkjob AS job
SET status = CASE job.status WHEN 'queued' THEN 'processing' ELSE job.status END,
    turn_over = job.turn_over OR NOT EXISTS (
        SELECT FROM bulk_bulkslice AS other
        WHERE other.job_id = job.id AND other.status = 'pending' AND other.lane = 'ingest'
            AND other.id <> %(id)s
    ),
    started_at = COALESCE(job.started_at, %(started)s),
    processed = job.processed + %(size)s + %(counted_later)s - errors_before,
    success_count = job.success_count + %(success_count)s,
    error_count = job.error_count + %(error_count)s + %(counted_later)s - errors_before
FROM slice WHERE job.id = slice.job_id
RETURNING job.processed = job.total OR job.cancel_requested_at IS NOT NULL AS may_end
"""

AtEnd = Callable[[UUID], object]
"""Called with a job's id, in the transaction of the slice that moved its last contact."""


@dataclass(frozen=True)
class Claim:
    """A pending slice that this process is at."""

    id: int
    job_id: Any
    lane: str
    items: list[Item]
    attempts: int
    counted_errors: int
    """Not zero: the slice is run again after a retry, and its contacts count as errors until it ends."""
    accepted_at: datetime
    account_id: int
    request_id: str
    """Of the request that the job came with."""
    rejects_voip: bool
    started: datetime
    watch: logs.Stopwatch = field(default_factory=logs.Stopwatch)


def claim(slice_id: int, *, by: str = "", anyway: bool = False) -> Claim | None:
    """Take the slice; None if it has ended, shall not run, or another worker is at it.

    `by`: the task's id; `anyway`: also if its job is being cancelled, and whoever is at it.
    """
    lease, commit = settings.TRACKLY_SLICE_LEASE, None if connection.in_atomic_block else "off"
    taken = sql.rows(_CLAIM, {"id": slice_id, "anyway": anyway, "lease": lease, "by": by, "commit": commit})
    if not taken:
        return None
    row = taken[0]
    payload = row.pop("payload")
    return Claim(id=slice_id, items=unpack(payload), **row)


def _later(job_id: UUID) -> None:
    """Settle the job another time."""


def process(slice_id: int, *, by: str = "", at_end: AtEnd = _later) -> list[int]:
    """Process a slice; returns the ids of the slices that were made of it: what needs the network, or halves.

    Nothing happens if it has ended or another worker is at it. Raises whatever goes wrong; nothing has taken
    effect then, but that the failure counts. A slice that failed twice is halved, and its halves after one
    more failure, so that a contact which kills its worker does not keep the others. `by`: the task's id;
    `at_end`: what settles the job, called if this may be its last slice, and committed with it; also where
    the slice is not run and the job may end: it was cancelled, or could not be settled before.
    """
    taken = claim(slice_id, by=by)
    if taken is None:
        over = Q(job__processed=F("job__total")) | Q(job__cancel_requested_at__isnull=False)
        unsettled = BulkSlice.objects.filter(over, pk=slice_id, job__completed_at=None)
        for job_id in unsettled.values_list("job_id", flat=True):
            sql.in_transaction(partial(at_end, job_id))
        return []
    logs.bind(job=taken.job_id, request_id=taken.request_id)
    if taken.attempts >= halved_after() and len(groups := look_over(taken.items).groups) > 1:
        return _halve(taken, groups)  # never the last
    if taken.attempts >= settings.TRACKLY_SLICE_ATTEMPTS:
        # To read them may be what kills: then this is the next attempt, and it does not.
        is_deadly = taken.attempts > settings.TRACKLY_SLICE_ATTEMPTS
        return _give_up(taken, noted=True, unread=is_deadly, at_end=at_end)
    try:
        return _process(taken, at_end)
    except Exception as exc:
        outcome = _RELEASE if sql.is_lock_timeout(exc) else _FAILED
        sql.in_transaction(lambda: sql.rows(outcome, {"id": slice_id}))
        raise


def by_lane(slice_ids: Sequence[int]) -> dict[Lane, list[int]]:
    """The slices of each lane. One query, none for no slices."""
    found: dict[Lane, list[int]] = {}
    if slice_ids:
        for slice_id, lane in BulkSlice.objects.filter(pk__in=slice_ids).values_list("pk", "lane"):
            found.setdefault(Lane(lane), []).append(slice_id)
    return found


def halved_after() -> int:
    """Failures of a slice after which it is halved: before it would be given up."""
    return int(min(2, settings.TRACKLY_SLICE_ATTEMPTS))


def _halve(taken: Claim, groups: Sequence[list[Item]]) -> list[int]:
    """End the slice with nothing in it; what it held stands in two others."""
    middle = len(groups) // 2

    def effect() -> list[int]:
        incidents.note(IncidentKind.HALVED, job=taken.job_id, slice_id=taken.id, count=len(taken.items))
        _finish(taken, report([], Counts(), {}), SliceStatus.DONE, later=len(taken.items))
        job, counted = BulkJob(pk=taken.job_id), bool(taken.counted_errors)
        halves = [
            new_slice(job, sorted(chain(*half)), Lane(taken.lane), counted_as_errors=counted)
            for half in (groups[:middle], groups[middle:])
        ]
        for half in halves:
            half.attempts = halved_after() - 1  # it is under suspicion
        return [made.pk for made in BulkSlice.objects.bulk_create(halves)]

    return _commit(taken, effect)


def _process(taken: Claim, at_end: AtEnd) -> list[int]:
    entries = [read(index, raw) for index, raw in taken.items]
    with transaction.atomic():
        sql.prefer_indexes()
        predecessors = find_lists(taken.account_id, entries)
        found = screening.known(taken.account_id, taken.rejects_voip, entries)
    taken.watch.lap("check_ms")
    later: list[Entry] = []
    if taken.lane == Lane.LIVE:
        screening.look_up(
            taken.account_id,
            entries,
            found,
            rejects_voip=taken.rejects_voip,
            keep=lambda: _keep(taken.id),
        )
        taken.watch.lap("look_up_ms")
    else:
        entries, later = _put_off(entries, found)
    effect = partial(_take_effect, taken, entries, later, found, predecessors=predecessors, at_end=at_end)
    return _commit(taken, effect)


def _keep(slice_id: int) -> None:
    sql.in_transaction(lambda: sql.rows(_KEEP, {"id": slice_id}))


def give_up(slice_id: int) -> None:
    """End a pending slice without processing or even reading it: its contacts are internal_error."""
    taken = claim(slice_id, anyway=True)
    if taken is not None:
        _give_up(taken, unread=True)


def _give_up(taken: Claim, *, unread: bool, noted: bool = False, at_end: AtEnd = _later) -> list[int]:
    read_one = _unread if unread else _read_if_possible
    entries = [read_one(index, raw) for index, raw in taken.items]

    def effect() -> list[int]:
        if noted:
            incidents.note(IncidentKind.GIVEN_UP, job=taken.job_id, slice_id=taken.id, count=len(entries))
        if _finish(taken, report(entries, Counts(), {}), SliceStatus.FAILED):
            _end(taken, at_end)
        return []

    return _commit(taken, effect)


def _unread(index: int, raw: bytes) -> Entry:
    """An entry of which no more is known than acceptance has found."""
    entry = Entry(index, raw)
    number = phone_number_of(raw)
    if number is not None:
        entry.phone_as_sent = number
    return entry


def _read_if_possible(index: int, raw: bytes) -> Entry:
    """For a slice that is given up: perhaps because it can't be read."""
    try:
        return read(index, raw)
    except Exception as exc:
        logger.error("contact_unreadable", index=index, exc_info=exc)  # noqa: TRY400
        return Entry(index, raw)


def _put_off(entries: Sequence[Entry], found: Findings) -> tuple[list[Entry], list[Entry]]:
    """What can be processed at once, and what needs the network: all contacts of a number or none."""
    if not (slow := screening.need_network(found)):
        return list(entries), []
    slow = {contact.phone_number for _, contact in alive(entries) if contact.phone_number in slow}
    later = {entry.index for entry, contact in alive(entries) if contact.phone_number in slow}
    return [entry for entry in entries if entry.index not in later], [
        entry for entry in entries if entry.index in later
    ]


def _commit(taken: Claim, effect: Callable[[], list[int]]) -> list[int]:
    """Run `effect` in a transaction, unless the slice has ended meanwhile."""

    def once() -> list[int]:
        sql.prefer_indexes()
        return effect() if sql.rows(_IS_PENDING, {"id": taken.id}) else []

    return sql.in_transaction(once)


def _take_effect(
    taken: Claim,
    entries: Sequence[Entry],
    later: Sequence[Entry],
    found: Findings,
    *,
    predecessors: Predecessors,
    at_end: AtEnd,
) -> list[int]:
    """Everything that the slice does, in the caller's transaction; the ids of the slices made of `later`."""
    entries = [copy(entry) for entry in entries]  # may be called again after a rollback
    charged = ledger.record(taken.account_id, found.new_validations)
    known = {**found.validations, **found.new_validations}
    # Somebody else paid for these meanwhile; what is stored counts, not what we were told.
    known.update(ledger.known(taken.account_id, found.new_validations.keys() - charged))
    screening.reject_invalid(entries, replace(found, validations=known), charged)
    ledger.note_cached(
        taken.account_id, sum(bool(entry.validation and entry.validation["cached"]) for entry in entries)
    )
    counts, opted_out = write(entries, found, accepted_at=taken.accepted_at, predecessors=predecessors)
    may_end = _finish(taken, report(entries, counts, opted_out), SliceStatus.DONE, later=len(later))
    if not later:
        if may_end:
            _end(taken, at_end)
        return []
    job = BulkJob(pk=taken.job_id)
    made = [
        new_slice(job, items, Lane.LIVE, counted_as_errors=bool(taken.counted_errors))
        for items in cut(_by_number(later), settings.TRACKLY_LIVE_SLICE_SIZE)
    ]
    return [live.pk for live in BulkSlice.objects.bulk_create(made)]


def _end(taken: Claim, at_end: AtEnd) -> None:
    """Settle the job. Where it can't be, that is no fault of the slice's, and the sweep tries again."""
    try:
        at_end(taken.job_id)
    except DatabaseError:
        raise  # the transaction is lost
    except Exception as exc:
        logger.error("not_settled", job=str(taken.job_id), exc_info=exc)  # noqa: TRY400


def _by_number(entries: Sequence[Entry]) -> list[list[Item]]:
    groups: dict[str, list[Item]] = {}
    for entry, contact in alive(entries):
        groups.setdefault(contact.phone_number, []).append((entry.index, entry.raw))
    return list(groups.values())


@dataclass(frozen=True)
class Report:
    """What a slice did: the columns of its row, and what a job's summary is made of."""

    size: int
    success_count: int
    error_count: int
    contacts_created: int
    list_contacts_created: int
    journeys_enrolled: int
    results: str
    errors: str
    lists: dict[str, list[Any]]


def report(
    entries: Sequence[Entry], counts: Counts, opted_out: dict[str, int], *, kept: bool = True
) -> Report:
    """Put together what became of the entries. `kept`: beside the payload that they came from."""
    failed = [entry for entry in entries if entry.outcome == Outcome.FAILED]
    lists: dict[str, list[Any]] = {}
    for entry in entries:
        if entry.list_id:
            used = lists.setdefault(str(entry.list_id), [False, opted_out.get(str(entry.list_id), 0)])
            used[0] = used[0] or entry.use_journeys
    return Report(
        size=len(entries),
        success_count=len(entries) - len(failed),
        error_count=len(failed),
        **asdict(counts),
        results=codec.encode([entry.result() for entry in entries]).decode(),
        errors=codec.dumps([entry.error_entry(whole=not kept) for entry in failed]),
        lists=lists,
    )


def _finish(taken: Claim, done: Report, status: SliceStatus, *, later: int = 0) -> bool:
    """Mark the slice as ended, with what it did, and move the job's counters.

    Returns whether every contact of the job has been processed, or none shall be any more: then to settle it
    is worth a try.
    """
    [job] = sql.rows(
        _FINISH,
        {
            **vars(done),
            "lists": codec.encode(done.lists).decode(),
            "id": taken.id,
            "status": status,
            "started": taken.started,
            "counted_later": later if taken.counted_errors else 0,
        },
    )
    transaction.on_commit(
        partial(
            logs.slice_done,
            taken.watch,
            job=str(taken.job_id),
            slice=taken.id,
            lane=taken.lane,
            status=status,
            size=done.size,
            success=done.success_count,
            error=done.error_count,
            put_off=later,
            attempts=taken.attempts,
            request_id=taken.request_id,
        )
    )
    return bool(job["may_end"])
