"""The end of a slice that could not be processed: its contacts are internal_error."""

import structlog

from ingestion import incidents
from ingestion.batch import phone_number_of
from ingestion.jobs.claims import AtEnd, Claim, claim, commit, end_job, finish, later_on
from ingestion.models import IncidentKind, SliceStatus
from ingestion.pipeline.apply import Counts
from ingestion.pipeline.entries import Entry, read
from ingestion.pipeline.report import report

logger = structlog.get_logger(__name__)


def give_up(slice_id: int) -> None:
    """End a pending slice without processing or even reading it: its contacts are internal_error."""
    taken = claim(slice_id, anyway=True)
    if taken is not None:
        give_up_claimed(taken, unread=True)


def give_up_claimed(
    taken: Claim, *, unread: bool, noted: bool = False, at_end: AtEnd = later_on
) -> list[int]:
    """The same for a claimed slice. `unread`: do not even decode its contacts; `noted`: as an incident."""
    read_one = _unread if unread else _read_if_possible
    entries = [read_one(index, raw) for index, raw in taken.items]

    def effect() -> list[int]:
        if noted:
            incidents.note(IncidentKind.GIVEN_UP, job=taken.job_id, slice_id=taken.id, count=len(entries))
        if finish(taken, report(entries, Counts(), {}), SliceStatus.FAILED):
            end_job(taken, at_end)
        return []

    return commit(taken, effect)


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
    except Exception:
        logger.exception("contact_unreadable", index=index)
        return Entry(index, raw)
