"""A draft, as the builder in the browser sends it: read, and its problems as sentences for marketers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accounts.models import Account
from core import codec
from journeys import conditions, steps
from journeys.builder import shape
from journeys.conditions import Group, HappenedTest, Problem
from journeys.steps import MOST_STEPS, Plan, Step

MOST_BYTES = 1_000_000
"""Of a draft as JSON. A hundred messages of the longest text take a quarter of it."""
TITLES = {
    "message": "Send a message",
    "wait": "Wait",
    "wait_until": "Wait until",
    "condition": "Condition",
    "set_field": "Set a field",
    "unsubscribe": "Unsubscribe",
    "exit": "Exit",
}


def parse(text: str | bytes) -> Any:
    """The JSON of a draft. Raises ValueError, with a sentence, if it is too large, too deep, or no JSON."""
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(raw) > MOST_BYTES:
        raise ValueError(f"Shorten the journey: it takes {len(raw):,} bytes, and {MOST_BYTES:,} are allowed.")
    if codec.is_deeper(raw, codec.MODEST_DEPTH):
        raise ValueError(f"{conditions.TOO_DEEP} This draft is too deep to be read.")
    try:
        return codec.loads(raw)
    except ValueError as exc:
        raise ValueError("The draft is not valid JSON. Reload the page and try again.") from exc


@dataclass(frozen=True)
class Entry:
    """A step of a draft, at its place, well-formed or not."""

    place: int
    """From 1, as people count."""
    given: Any
    step: Step | None
    """None: it can't be read."""

    @property
    def id(self) -> str:
        return self._text("id")

    @property
    def kind(self) -> str:
        """One of TITLES, or empty."""
        kind = self._text("kind")
        return kind if kind in TITLES else ""

    @property
    def title(self) -> str:
        return TITLES.get(self.kind, "Unknown step")

    @property
    def ways(self) -> list[tuple[str, str]]:
        """All ways on, each with its label and where it leads; empty: to the step below."""
        if self.kind == "condition":
            return [("yes", self._text("yes")), ("no", self._text("no"))]
        return [] if self.kind in ("unsubscribe", "exit") else [("", self._text("next"))]

    def _text(self, name: str) -> str:
        value = self.given.get(name) if isinstance(self.given, dict) else None
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Fault:
    """A problem, at its place on the page."""

    message: str
    """In the step's card, which says by itself what step it is."""
    place: int = 0
    """Of the step; 0: the trigger, or the journey as a whole."""
    path: str = ""
    where: str = ""

    def __str__(self) -> str:
        """With its place in words: `Step 3, Wait: enter …`."""
        return f"{self.where}: {_lower(self.message)}" if self.where else self.message


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


@dataclass(frozen=True)
class Draft:
    """The steps of a draft."""

    entries: list[Entry]
    faults: list[Fault]

    @property
    def plan(self) -> Plan | None:
        """None while a step can't be read."""
        read = [entry.step for entry in self.entries if entry.step]
        return Plan(read) if len(read) == len(self.entries) else None


def entries(document: list[Any]) -> list[Entry]:
    """The steps of a document, each read if it can be."""
    return [
        Entry(place, given, None if any(shape.of_step(given)) else conditions.convert(given, Step))
        for place, given in enumerate(document, 1)
    ]


def read_steps(document: Any, lists: set[int]) -> Draft:
    """Steps, and all problems. `lists`: the ids of the account's lists."""
    if not isinstance(document, list):
        return Draft([], [Fault("Remove all steps and add them again: they can't be read.")])
    if len(document) > MOST_STEPS:
        return Draft(entries(document[:MOST_STEPS]), [Fault(steps.too_many(len(document)))])
    read = entries([tidied(given) for given in document])
    return Draft(read, list(_faults(read, lists)))


def _faults(read: list[Entry], lists: set[int]) -> Iterator[Fault]:
    by_id: dict[str, Entry] = {}
    for entry in read:
        if entry.step and entry.id in by_id:
            same = by_id[entry.id].place
            yield _fault(Problem(f"Remove this step and add it again: it has the id of step {same}."), entry)
        by_id.setdefault(entry.id, entry)
    if len(by_id) == len(read) and all(entry.step for entry in read):
        for problem in steps.problems(Plan([entry.step for entry in read if entry.step]), lists):
            yield _fault(problem, by_id.get(problem.step))
        return
    # How steps follow each other can't be judged before all of them can be read.
    kinds = {entry.id: entry.kind for entry in read}
    for entry in read:
        found = steps.of_step(entry.step, kinds, lists) if entry.step else shape.of_step(entry.given)
        for problem in found:
            yield _fault(problem, entry)


def _fault(problem: Problem, entry: Entry | None) -> Fault:
    if entry is None:
        return Fault(problem.message, path=problem.path)
    test = entry.given.get("test") if isinstance(entry.given, dict) else None
    message = _in_row(problem, shape.rows(test, "test"))
    return Fault(message, entry.place, problem.path, f"Step {entry.place}, {entry.title}")


def _in_row(problem: Problem, rows: list[str]) -> str:
    """The message, with the condition's row if it is about one."""
    for number, row in enumerate(rows, 1):
        if row and len(rows) > 1 and f"{problem.path}.".startswith(f"{row}."):
            return f"Row {number}: {_lower(problem.message)}"
    return problem.message


def tidied(given: Any) -> Any:
    """A step with line breaks as they are sent; browsers have their own in a text area."""
    if isinstance(given, dict) and isinstance(given.get("text"), str):
        return {**given, "text": given["text"].replace("\r\n", "\n").replace("\r", "\n")}
    return given


def read_trigger(document: Any, lists: set[int]) -> tuple[Group | None, list[Fault]]:
    """A trigger, if it can be read, and its problems; nothing and none for an empty one."""
    if not document or document in ({"kind": "all", "of": []}, {"kind": "any", "of": []}):
        return None, []
    found = list(shape.of_trigger(document))
    group = None
    if not found:
        group = conditions.read_trigger(document)
        found += conditions.problems(group, lists)
        for path in _happened(group):
            found.append(
                Problem("Check a field or a list: before the enrollment nothing has happened.", path=path)
            )
    rows = shape.rows(document, "")
    return group, [Fault(_in_row(one, rows), path=one.path, where="Trigger") for one in found]


def _happened(group: Group, path: str = "") -> Iterator[str]:
    for place, part in enumerate(group.of):
        at = conditions.under(path, f"of.{place}")
        if isinstance(part, HappenedTest):
            yield at
        elif isinstance(part, conditions.AllOf | conditions.AnyOf):
            yield from _happened(part, at)


def lists_of(account: Account) -> Iterator[tuple[int, str]]:
    """The lists that people choose from: id and name."""
    for made in account.sending_lists.exclude(status="deleted").order_by("pk"):
        name = f"{made} ({made.phone_number})" if made.list_name else made.phone_number
        yield made.pk, name


def ids_of(account: Account) -> set[int]:
    """All lists of the account, deleted ones too: a condition that names one is merely never met."""
    return set(account.sending_lists.values_list("pk", flat=True))


def described(test: conditions.Test, names: dict[int, str]) -> str:
    """A condition in words."""
    match test:
        case conditions.AllOf() | conditions.AnyOf():
            word = " and " if isinstance(test, conditions.AllOf) else " or "
            parts = [described(part, names) for part in test.of]
            return word.join(f"({part})" if " and " in part or " or " in part else part for part in parts)
        case conditions.FieldTest():
            values = ", ".join(test.values)
            return f"{test.name} {_OPERATORS[test.operator]} {values}".strip()
        case conditions.ListTest():
            on = "is on" if test.operator is conditions.Membership.ON else "is not on"
            return f"{on} {_names(test.lists, names)}"
        case HappenedTest(event=conditions.Event.JOINED):
            return f"has joined {_names(test.lists, names)}"
        case HappenedTest():
            return f"message {'was sent' if test.event is conditions.Event.SENT else 'failed'}"


_OPERATORS = {
    conditions.Operator.EQ: "is",
    conditions.Operator.NE: "is not",
    conditions.Operator.IN: "is one of",
    conditions.Operator.NOT_IN: "is none of",
    conditions.Operator.EXISTS: "exists",
    conditions.Operator.CONTAINS: "contains",
}


def _names(ids: list[int], names: dict[int, str]) -> str:
    return ", ".join(names.get(id_, f"list {id_}") for id_ in ids)
