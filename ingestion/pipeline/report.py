"""What became of a slice's contacts: its row's columns, and a job's summary made of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contacts.models import SendingList
from core import codec
from ingestion.pipeline.apply import Counts
from ingestion.pipeline.entries import Entry, Outcome
from journeys.enroll import greetings


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


_COUNTS = ("success_count", "error_count", "contacts_created", "list_contacts_created", "journeys_enrolled")


def summarize(slices: Sequence[Report]) -> dict[str, Any]:
    """The answer's body (contract, "The answer")."""
    errors = [entry for part in slices for entry in codec.loads(part.errors.encode())]
    summary: dict[str, Any] = {name: sum(getattr(part, name) for part in slices) for name in _COUNTS}
    counts = {name: summary.pop(name) for name in _COUNTS[2:]}
    summary["errors"] = sorted(errors, key=lambda entry: entry["index"])
    summary.update(counts)
    if warnings := _warnings(slices):
        summary["warnings"] = warnings
    return summary


def _warnings(slices: Iterable[Report]) -> list[str]:
    """One per list whose journeys no contact asked for, one per list with members that had opted out."""
    asked: dict[int, bool] = defaultdict(bool)
    opted_out: dict[int, int] = defaultdict(int)
    for part in slices:
        for key, (used_journeys, count) in part.lists.items():
            asked[int(key)] |= used_journeys
            opted_out[int(key)] += count
    journeys = greetings(list_id for list_id, used in asked.items() if not used)
    about = journeys.keys() | {list_id for list_id, count in opted_out.items() if count}
    if not about:
        return []
    lists = SendingList.objects.filter(pk__in=about).order_by("phone_number")
    warnings = []
    for list_id, phone_number in lists.values_list("pk", "phone_number"):
        if names := ", ".join(f'"{journey.name}"' for journey in journeys.get(list_id, ())):
            warnings.append(
                f"List {phone_number} has active Welcome Journeys ({names}), "
                "but no contact of this batch set use_journeys."
            )
        if count := opted_out.get(list_id, 0):
            who = "1 contact was" if count == 1 else f"{count} contacts were"
            stay = "stays" if count == 1 else "stay"
            warnings.append(f"List {phone_number}: {who} unsubscribed before and {stay} unsubscribed.")
    return warnings
