"""A slice, from its payload to its rows. May run any number of times, also at once; takes effect once."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F, Q

from billing import ledger
from core import sql
from ingestion import incidents, logs
from ingestion.batch import Item, cut, look_over, new_slice
from ingestion.jobs import abandon
from ingestion.jobs.claims import FAILED, RELEASE, Claim, claim, commit, finish, keep
from ingestion.jobs.finalize import finalize, finalize_within
from ingestion.models import BulkJob, BulkSlice, IncidentKind, Lane, SliceStatus
from ingestion.pipeline import screening
from ingestion.pipeline.apply import Counts, write
from ingestion.pipeline.entries import Entry, Predecessors, alive, find_lists, read
from ingestion.pipeline.report import report
from ingestion.pipeline.screening import Findings

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Processed:
    """What the processing of a slice leaves to do, once it is committed."""

    made: list[int] = field(default_factory=list)
    """The ids of the slices that were made of it: what needs the network, or halves. They are to be sent."""
    ended_for: int | None = None
    """The id of the account whose job has ended with this slice; its next job can be sent."""


def process(slice_id: int, *, by: str = "") -> Processed:
    """Process a slice, and finalize its job in the same transaction if this was its last.

    Nothing happens if it has ended or another worker holds its lease, except that a job is finalized which is
    due: it was cancelled, or could not be finalized before. Raises whatever goes wrong; nothing has taken
    effect then, but the failure counts. A slice that failed twice is halved, and its halves after one more
    failure, so that a contact which kills its worker does not keep the others. `by`: the task's id.
    """
    taken = claim(slice_id, by=by)
    if taken is None:
        return _finalize_if_due(slice_id)
    logs.bind(job=taken.job_id, request_id=taken.request_id)
    if taken.attempts >= halved_after() and len(groups := look_over(taken.items).groups) > 1:
        return _halve(taken, groups)  # never the last
    if taken.attempts >= settings.TRACKLY_SLICE_ATTEMPTS:
        # To read them may be what kills: then this is the next attempt, and it does not.
        is_deadly = taken.attempts > settings.TRACKLY_SLICE_ATTEMPTS
        return _give_up(taken, unread=is_deadly)
    try:
        return _process(taken)
    except Exception as exc:
        outcome = RELEASE if sql.is_lock_timeout(exc) else FAILED
        sql.retry_on_conflict(lambda: sql.rows(outcome, {"id": slice_id}))
        raise


def _finalize_if_due(slice_id: int) -> Processed:
    """End the job of a slice that is not run, if all of its slices have ended, or it was cancelled."""
    over = Q(job__processed=F("job__total")) | Q(job__cancel_requested_at__isnull=False)
    due = BulkSlice.objects.filter(over, pk=slice_id, job__completed_at=None)
    for job_id in due.values_list("job_id", flat=True):
        return Processed(ended_for=sql.retry_on_conflict(partial(finalize, job_id)))
    return Processed()


def _try_finalize(job_id: UUID) -> int | None:
    """`finalize_within`. Where that fails it is no fault of the slice's, and the sweep tries again."""
    try:
        return finalize_within(job_id)
    except DatabaseError:
        raise  # the transaction is lost
    except Exception:
        logger.exception("finalize_failed", job=str(job_id))
        return None


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


def _give_up(taken: Claim, *, unread: bool) -> Processed:
    """End the slice as failed: its contacts are internal_error. `unread`: do not even decode them."""
    entries = abandon.unread(taken) if unread else abandon.as_far_as_readable(taken)

    def effect() -> Processed:
        incidents.note(IncidentKind.GIVEN_UP, job=taken.job_id, slice_id=taken.id, count=len(entries))
        may_end = abandon.fail(taken, entries)
        return Processed(ended_for=_try_finalize(taken.job_id) if may_end else None)

    return commit(taken, effect) or Processed()


def _halve(taken: Claim, groups: Sequence[list[Item]]) -> Processed:
    """End the slice with nothing in it; what it held stands in two others."""
    middle = len(groups) // 2

    def effect() -> Processed:
        incidents.note(IncidentKind.HALVED, job=taken.job_id, slice_id=taken.id, count=len(taken.items))
        finish(taken, report([], Counts(), {}), SliceStatus.DONE, later=len(taken.items))
        job, counted = BulkJob(pk=taken.job_id), bool(taken.counted_errors)
        halves = [
            new_slice(job, sorted(chain(*half)), Lane(taken.lane), counted_as_errors=counted)
            for half in (groups[:middle], groups[middle:])
        ]
        for half in halves:
            half.attempts = halved_after() - 1  # it is under suspicion
        return Processed([made.pk for made in BulkSlice.objects.bulk_create(halves)])

    return commit(taken, effect) or Processed()


def _process(taken: Claim) -> Processed:
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
            keep=lambda: keep(taken.id),
        )
        taken.watch.lap("look_up_ms")
    else:
        entries, later = _put_off(entries, found)
    effect = partial(_take_effect, taken, entries, later, found, predecessors=predecessors)
    return commit(taken, effect) or Processed()


def _put_off(entries: Sequence[Entry], found: Findings) -> tuple[list[Entry], list[Entry]]:
    """What can be processed at once, and what needs the network: all contacts of a number or none."""
    if not (slow := screening.need_network(found)):
        return list(entries), []
    slow = {contact.phone_number for _, contact in alive(entries) if contact.phone_number in slow}
    later = {entry.index for entry, contact in alive(entries) if contact.phone_number in slow}
    return [entry for entry in entries if entry.index not in later], [
        entry for entry in entries if entry.index in later
    ]


def _take_effect(
    taken: Claim,
    entries: Sequence[Entry],
    later: Sequence[Entry],
    found: Findings,
    *,
    predecessors: Predecessors,
) -> Processed:
    """Everything that the slice does, in the caller's transaction; `later` becomes slices of its own."""
    entries = [copy(entry) for entry in entries]  # may be called again after a rollback
    charged = ledger.record(taken.account_id, found.new_validations)
    known = {**found.validations, **found.new_validations}
    # Another slice paid for these meanwhile: the stored finding counts, not the one that we got.
    known.update(ledger.known(taken.account_id, found.new_validations.keys() - charged))
    screening.reject_invalid(entries, replace(found, validations=known), charged)
    ledger.note_cached(
        taken.account_id, sum(bool(entry.validation and entry.validation["cached"]) for entry in entries)
    )
    counts, opted_out = write(entries, found, accepted_at=taken.accepted_at, predecessors=predecessors)
    may_end = finish(taken, report(entries, counts, opted_out), SliceStatus.DONE, later=len(later))
    if not later:
        return Processed(ended_for=_try_finalize(taken.job_id) if may_end else None)
    job = BulkJob(pk=taken.job_id)
    made = [
        new_slice(job, items, Lane.LIVE, counted_as_errors=bool(taken.counted_errors))
        for items in cut(_by_number(later), settings.TRACKLY_LIVE_SLICE_SIZE)
    ]
    return Processed([live.pk for live in BulkSlice.objects.bulk_create(made)])


def _by_number(entries: Sequence[Entry]) -> list[list[Item]]:
    groups: dict[str, list[Item]] = {}
    for entry, contact in alive(entries):
        groups.setdefault(contact.phone_number, []).append((entry.index, entry.raw))
    return list(groups.values())
