"""A draft, as the builder in the browser sends it: read, and what is wrong with it said for people."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from contacts.payload import storable
from journeys import conditions, steps
from journeys.conditions import Group, HappenedTest
from journeys.steps import Plan, Problem, Step
from trackly.accounts.models import Account

_WHERE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`\Z")


def read_steps(document: Any, lists: set[int]) -> tuple[Plan, list[Problem]]:
    """A plan of the steps that can be read, and all problems. `lists`: the ids of the account's lists."""
    if not isinstance(document, list):
        return Plan([]), [Problem("The steps are no list.")]
    if not is_storable(document):
        return Plan([]), [Problem(_UNSTORABLE)]
    read: list[Step] = []
    found: list[Problem] = []
    for place, given in enumerate(document, 1):
        try:
            read.append(conditions.convert(tidied(given), Step))
        except msgspec.ValidationError as exc:
            named = given.get("id") if isinstance(given, dict) else None
            found.append(Problem(_for_people(exc, f"Step {place}"), named if isinstance(named, str) else ""))
    plan = Plan(read)
    if not found:
        found += steps.problems(plan, lists)
    return plan, found


_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_UNSTORABLE = "There is a character in it that can't be stored."


def is_storable(document: Any) -> bool:
    """Whether jsonb can hold it: no U+0000, no lone surrogates, no numbers beyond a float, not too deep."""
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return storable(text) and not _NUL.search(text)


def tidied(given: Any) -> Any:
    """A step with line breaks as they are sent; browsers have their own in a text area."""
    if isinstance(given, dict) and isinstance(given.get("text"), str):
        return {**given, "text": given["text"].replace("\r\n", "\n").replace("\r", "\n")}
    return given


def read_trigger(document: Any, lists: set[int]) -> tuple[Group | None, list[str]]:
    """A trigger, if it can be read, and its problems; nothing and none for an empty one."""
    if not document or document in ({"kind": "all", "of": []}, {"kind": "any", "of": []}):
        return None, []
    if not is_storable(document):
        return None, [_UNSTORABLE]
    try:
        group = conditions.read_trigger(document)
    except msgspec.ValidationError as exc:
        return None, [_for_people(exc, "The trigger")]
    found = list(conditions.problems(group, lists))
    if any(isinstance(test, HappenedTest) for test in conditions.leaves(group)):
        found.append("Before the enrollment nothing has happened that a trigger could ask for.")
    return group, found


def _for_people(exc: msgspec.ValidationError, what: str) -> str:
    """Msgspec's message, with the place in words."""
    message = str(exc)
    where = _WHERE.search(message)
    field = where["path"].rpartition(".")[2].strip("[.]") if where else ""
    said = _WHERE.sub("", message).rstrip(".")
    return f"{what}{f', {field}' if field else ''}: {said}."


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
