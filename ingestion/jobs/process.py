"""A slice, from its payload to its rows. May run any number of times, also at once; takes effect once."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import chain

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from billing import ledger
from core import sql
from ingestion import incidents, logs
from ingestion.batch import Item, cut, look_over, new_slice
from ingestion.jobs.abandon import give_up_claimed
from ingestion.jobs.claims import (
    FAILED,
    RELEASE,
    AtEnd,
    Claim,
    claim,
    commit,
    end_job,
    finish,
    keep,
    later_on,
)
from ingestion.models import BulkJob, BulkSlice, IncidentKind, Lane, SliceStatus
from ingestion.pipeline import screening
from ingestion.pipeline.apply import Counts, write
from ingestion.pipeline.entries import Entry, Predecessors, alive, find_lists, read
from ingestion.pipeline.report import report
from ingestion.pipeline.screening import Findings

logger = structlog.get_logger(__name__)


def process(slice_id: int, *, by: str = "", at_end: AtEnd = later_on) -> list[int]:
    """Process a slice; returns the ids of the slices that were made of it: what needs the network, or halves.

    Nothing happens if it has ended or another worker holds its lease. Raises whatever goes wrong; nothing has
    taken effect then, but the failure counts. A slice that failed twice is halved, and its halves after one
    more failure, so that a contact which kills its worker does not keep the others. `by`: the task's id;
    `at_end`: what settles the job, called if this may be its last slice, and committed with it; also where
    the slice is not run and the job may end: it was cancelled, or could not be settled before.
    """
    taken = claim(slice_id, by=by)
    if taken is None:
        over = Q(job__processed=F("job__total")) | Q(job__cancel_requested_at__isnull=False)
        unsettled = BulkSlice.objects.filter(over, pk=slice_id, job__completed_at=None)
        for job_id in unsettled.values_list("job_id", flat=True):
            sql.retry_on_conflict(partial(at_end, job_id))
        return []
    logs.bind(job=taken.job_id, request_id=taken.request_id)
    if taken.attempts >= halved_after() and len(groups := look_over(taken.items).groups) > 1:
        return _halve(taken, groups)  # never the last
    if taken.attempts >= settings.TRACKLY_SLICE_ATTEMPTS:
        # To read them may be what kills: then this is the next attempt, and it does not.
        is_deadly = taken.attempts > settings.TRACKLY_SLICE_ATTEMPTS
        return give_up_claimed(taken, noted=True, unread=is_deadly, at_end=at_end)
    try:
        return _process(taken, at_end)
    except Exception as exc:
        outcome = RELEASE if sql.is_lock_timeout(exc) else FAILED
        sql.retry_on_conflict(lambda: sql.rows(outcome, {"id": slice_id}))
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
        finish(taken, report([], Counts(), {}), SliceStatus.DONE, later=len(taken.items))
        job, counted = BulkJob(pk=taken.job_id), bool(taken.counted_errors)
        halves = [
            new_slice(job, sorted(chain(*half)), Lane(taken.lane), counted_as_errors=counted)
            for half in (groups[:middle], groups[middle:])
        ]
        for half in halves:
            half.attempts = halved_after() - 1  # it is under suspicion
        return [made.pk for made in BulkSlice.objects.bulk_create(halves)]

    return commit(taken, effect)


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
            keep=lambda: keep(taken.id),
        )
        taken.watch.lap("look_up_ms")
    else:
        entries, later = _put_off(entries, found)
    effect = partial(_take_effect, taken, entries, later, found, predecessors=predecessors, at_end=at_end)
    return commit(taken, effect)


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
    at_end: AtEnd,
) -> list[int]:
    """Everything that the slice does, in the caller's transaction; the ids of the slices made of `later`."""
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
        if may_end:
            end_job(taken, at_end)
        return []
    job = BulkJob(pk=taken.job_id)
    made = [
        new_slice(job, items, Lane.LIVE, counted_as_errors=bool(taken.counted_errors))
        for items in cut(_by_number(later), settings.TRACKLY_LIVE_SLICE_SIZE)
    ]
    return [live.pk for live in BulkSlice.objects.bulk_create(made)]


def _by_number(entries: Sequence[Entry]) -> list[list[Item]]:
    groups: dict[str, list[Item]] = {}
    for entry, contact in alive(entries):
        groups.setdefault(contact.phone_number, []).append((entry.index, entry.raw))
    return list(groups.values())
