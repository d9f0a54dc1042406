"""The end of a slice that could not be processed: its contacts are internal_error."""

from collections.abc import Sequence

import structlog

from ingestion.batch import phone_number_of
from ingestion.jobs.claims import Claim, claim, commit, finish
from ingestion.models import SliceStatus
from ingestion.pipeline.apply import Counts
from ingestion.pipeline.entries import Entry, read
from ingestion.pipeline.report import report

logger = structlog.get_logger(__name__)


def give_up(slice_id: int) -> None:
    """End a pending slice without processing or even reading it: its contacts are internal_error."""
    taken = claim(slice_id, anyway=True)
    if taken is not None:
        entries = unread(taken)
        commit(taken, lambda: fail(taken, entries))


def fail(taken: Claim, entries: Sequence[Entry]) -> bool:
    """End the claimed slice as failed, in the caller's transaction; whether its job may end, too."""
    return finish(taken, report(entries, Counts(), {}), SliceStatus.FAILED)


def unread(taken: Claim) -> list[Entry]:
    """The slice's contacts, not decoded: to read them may be what kills."""
    return [_unread(index, raw) for index, raw in taken.items]


def as_far_as_readable(taken: Claim) -> list[Entry]:
    """The slice's contacts, each read unless that fails."""
    return [_read_if_possible(index, raw) for index, raw in taken.items]


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
