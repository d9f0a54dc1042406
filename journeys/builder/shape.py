"""Whether a step or a condition of a draft has the right shape: each field by itself, in sentences.

msgspec says as much, but stops at the first fault and speaks of Python's types.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from core.codec import storable
from journeys import conditions, steps
from journeys.conditions import Problem, under
from journeys.steps import WAYS, wait_bounds

KINDS: dict[str, type[Struct]] = {
    "message": steps.Message,
    "wait": steps.Wait,
    "wait_until": steps.WaitUntil,
    "condition": steps.Condition,
    "set_field": steps.SetField,
    "unsubscribe": steps.Unsubscribe,
    "exit": steps.Exit,
}
TESTS: dict[str, type[Struct]] = {
    "field": conditions.FieldTest,
    "list": conditions.ListTest,
    "happened": conditions.HappenedTest,
}
GROUPS = ("all", "any")

NOT_READABLE = "Remove this step and add it again: it can't be read."
NOT_A_GROUP = 'Choose "Match all" or "Match any" for the trigger.'
_NOT_A_TEST = "Choose what to check: a custom field, a list, a message, or a joined list."
_NO_CONDITION = "Add a condition."

SENTENCES = {
    "id": "Remove this step and add it again: its id is not valid.",
    "text": "Enter the text of the message.",
    "unit": 'Choose the "Unit": minutes, hours or days.',
    "at": 'Enter a "Time of day" from 00:00 to 23:59, such as 10:00.',
    "name": 'Enter a "Field name" of 1 to 200 characters.',
    "value": 'Enter a "Value" of at most 1,000 characters.',
    "operator": 'Choose a "Comparison" from the list.',
    "values": 'Enter at most 100 "Values" of at most 200 characters each.',
    "lists": "Choose 1 to 1,000 lists.",
    "event": 'Choose a "Message status": was sent or failed.',
    "step": "Choose a message, or any message.",
    **{way: f'Choose a step in "{label}".' for way, label in WAYS.items()},
}
"""What to do about a field that is missing, or is none; `amount` and `test` have sentences of their own."""
_LABELS = {
    "text": "Text",
    "name": "Field name",
    "value": "Value",
    "values": "Value",
    "step": "Message",
    **WAYS,
}
"""Of the fields that take any text."""


def of_step(given: Any) -> Iterator[Problem]:
    """What is wrong with the shape of a step."""
    kind = given.get("kind") if isinstance(given, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        yield Problem(NOT_READABLE)
    else:
        yield from _of_fields(given, KINDS[kind], "")


def of_trigger(given: Any) -> Iterator[Problem]:
    """What is wrong with the shape of a trigger."""
    if not isinstance(given, dict) or given.get("kind") not in GROUPS:
        yield Problem(NOT_A_GROUP)
    else:
        yield from _of_all_tests(given, "")


def rows(given: Any, path: str) -> list[str]:
    """The paths of the conditions in a test, in their order on the page; groups are none."""
    found: list[str] = []
    open_ = [(given, path)]
    while open_:
        test, at = open_.pop()
        if isinstance(test, dict) and test.get("kind") in GROUPS and isinstance(test.get("of"), list):
            open_ += [(part, under(at, f"of.{place}")) for place, part in enumerate(test["of"])][::-1]
        else:
            found.append(at)
    return found


def _of_fields(given: dict[str, Any], struct: type[Struct], path: str) -> Iterator[Problem]:
    known = fields(struct)
    if unknown := sorted(given.keys() - {"kind", *(field.name for field in known)}):
        name = f' "{unknown[0][:40]}"' if unknown[0].isprintable() else ""
        yield Problem(f"Remove this and add it again: it has an unknown part{name}.", path=path)
    for field in known:
        at = under(path, field.name)
        if field.name == "test":
            yield from _of_all_tests(given.get("test"), at)
        elif (field.name in given or field.required) and (sentence := _of_value(given, field)):
            yield Problem(sentence, path=at)


def _of_value(given: dict[str, Any], field: FieldInfo) -> str:
    value = given.get(field.name, msgspec.UNSET)
    try:
        msgspec.convert(value, field.type)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the latter: a lone surrogate
        if field.name == "amount":
            unit = given.get("unit")
            return wait_bounds(unit if unit in ("minutes", "hours") else "days")
        return SENTENCES[field.name]
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(text, str) and not storable(text) for text in texts):
        return f'Enter "{_LABELS[field.name]}" again: it has a character that can\'t be stored.'
    return ""


def _of_all_tests(given: Any, path: str) -> Iterator[Problem]:
    if not isinstance(given, dict):
        yield Problem(_NO_CONDITION, path=path)
    elif (number := len(rows(given, path))) > conditions.MOST_TESTS:
        yield Problem(conditions.too_many(number), path=path)
    else:
        yield from _of_test(given, path)


def _of_test(given: Any, path: str) -> Iterator[Problem]:
    kind = given.get("kind") if isinstance(given, dict) else None
    if kind in GROUPS:
        if not isinstance(given.get("of"), list):
            yield Problem("Add a condition to the group.", path=path)
            return
        for place, part in enumerate(given["of"]):
            yield from _of_test(part, under(path, f"of.{place}"))
    elif isinstance(kind, str) and kind in TESTS:
        yield from _of_fields(given, TESTS[kind], path)
    else:
        yield Problem(_NOT_A_TEST, path=path)
