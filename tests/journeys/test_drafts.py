"""A draft's problems: each kind of step and condition, each field, each way it can be wrong."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import fields

from journeys.builder import drafts, flow, shape
from journeys.builder.drafts import read_steps, read_trigger
from journeys.conditions import Group
from journeys.steps import END, Step

Document = dict[str, Any]
LISTS = {1, 2}
FIELD = {"kind": "field", "name": "a", "operator": "eq", "values": ["x"]}
ON = {"kind": "list", "operator": "on", "lists": [1]}
SENT = {"kind": "happened", "event": "sent", "step": "", "lists": []}


def any_of(*tests: Any) -> Document:
    return {"kind": "any", "of": list(tests)}


GOOD_STEPS: dict[str, Document] = {
    "message": {"kind": "message", "id": "x", "text": "Hi", "next": ""},
    "wait": {"kind": "wait", "id": "x", "amount": 1, "unit": "days", "next": ""},
    "wait_until": {"kind": "wait_until", "id": "x", "at": "10:00", "next": ""},
    "condition": {
        "kind": "condition",
        "id": "x",
        "test": {"kind": "all", "of": [FIELD]},
        "yes": "",
        "no": "",
    },
    "set_field": {"kind": "set_field", "id": "x", "name": "a", "value": "b", "next": ""},
    "unsubscribe": {"kind": "unsubscribe", "id": "x"},
    "exit": {"kind": "exit", "id": "x"},
}
GOOD_TESTS: dict[str, Document] = {"field": FIELD, "list": ON, "happened": SENT}
MISSING: Any = object()
WRONG: list[Any] = [
    *(MISSING, None, True, 7, -1, 1.5, 10**30),
    *("", " ", "x", "x" * 2_000, "a\x00", "\ud800"),
    *([], [None], [[]], ["x" * 2_000], [1] * 1_001, {}, {"kind": "magic"}),
]
INTERNAL = re.compile(r"Expected|Object|`|msgspec|Invalid|None|required field|\bint\b|\bstr\b|Traceback")


def variants(good: Document, field: str) -> Iterator[Document]:
    for value in WRONG:
        yield {name: one for name, one in good.items() if name != field} | (
            {} if value is MISSING else {field: value}
        )


def is_read(document: Any, to: Any) -> bool:
    try:
        msgspec.convert(document, to)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return False
    return True


def cases() -> list[tuple[str, str, Document, str]]:
    """(title, field, step, path): every field of every kind of step and condition."""
    found = [
        (drafts.TITLES[kind], field.name, document, field.name)
        for kind, good in GOOD_STEPS.items()
        for field in fields(shape.KINDS[kind])
        for document in variants(good, field.name)
    ]
    for kind, good in GOOD_TESTS.items():
        for field in fields(shape.TESTS[kind]):
            for wrong in variants(good, field.name):
                test = {"kind": "all", "of": [FIELD, {"kind": "any", "of": [wrong, FIELD]}]}
                step = {**GOOD_STEPS["condition"], "test": test}
                found.append(("Condition", field.name, step, f"test.of.1.of.0.{field.name}"))
    return found


@pytest.mark.parametrize(("title", "field", "step", "path"), cases())
def test_a_wrong_field_is_a_sentence_at_its_place(title: str, field: str, step: Document, path: str) -> None:
    draft = read_steps([{"kind": "message", "id": "first", "text": "Hi"}, step], LISTS)
    assert is_read(step, Step) or draft.faults
    assert [entry.place for entry in draft.entries] == [1, 2]
    for fault in draft.faults:
        assert fault.place == 2
        assert fault.path.startswith(path) or path.startswith(fault.path)
        assert str(fault).startswith(f"Step 2, {title}: ")
        assert re.fullmatch(r"(Row \d+: [a-z]|[A-Z]).+[.:?]", fault.message), fault.message
        assert not INTERNAL.search(str(fault)), str(fault)
    if not is_read(step, Step) and field not in ("test", "id"):
        assert any(fault.path.startswith(path) for fault in draft.faults)


@pytest.mark.parametrize("kind", [*GOOD_STEPS])
def test_an_unknown_part_of_a_step_is_named(kind: str) -> None:
    [fault] = read_steps([{**GOOD_STEPS[kind], "nxt": 1}], LISTS).faults
    assert fault.message == 'Remove this and add it again: it has an unknown part "nxt".'


@pytest.mark.parametrize("good", [*GOOD_STEPS.values()], ids=[*GOOD_STEPS])
def test_what_is_right_has_no_problem(good: Document) -> None:
    assert read_steps([good], LISTS).faults == []


WHAT = "choose what to check: a custom field, a list, a message, or a joined list."
MATCH = 'choose "Match all" or "Match any" for the trigger.'
EMPTY = "add a condition to the empty group, or remove the group."
MANY = "remove conditions: there are 51, and 50 are allowed."


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        ("x", MATCH),
        ({**FIELD}, MATCH),
        ({"kind": "all"}, "add a condition to the group."),
        (any_of(None), WHAT),
        (any_of(FIELD, {"kind": "magic"}), f"row 2: {WHAT}"),
        (any_of(ON, {**FIELD, "operator": "like"}), 'row 2: choose a "Comparison" from the list.'),
        (any_of(ON, {**FIELD, "values": []}), "row 2: enter one value."),
        (any_of({**ON, "lists": []}), "choose 1 to 1,000 lists."),
        (any_of(ON, any_of()), EMPTY),
        (any_of(*[ON] * 51), MANY),
        (any_of(*[{"kind": "magic"}] * 51), MANY),
        (
            any_of(ON, any_of(SENT)),
            "row 2: check a field or a list: before the enrollment nothing has happened.",
        ),
    ],
)
def test_a_wrong_trigger_is_a_sentence(trigger: Any, said: str) -> None:
    _, faults = read_trigger(trigger, LISTS)
    assert [str(fault) for fault in faults] == [f"Trigger: {said}"]


@pytest.mark.parametrize("path", ["name", "operator", "values", "lists", "event", "step"])
def test_a_wrong_trigger_field_never_speaks_of_types(path: str) -> None:
    for good in GOOD_TESTS.values():
        if path in good:
            for wrong in variants(good, path):
                trigger = {"kind": "all", "of": [wrong]}
                group, faults = read_trigger(trigger, LISTS)
                assert group is not None or faults
                assert (group is not None) <= is_read(trigger, Group)
                assert not any(INTERNAL.search(str(fault)) for fault in faults)


def test_a_faulty_step_keeps_its_place_in_the_chart_and_no_number_shifts() -> None:
    steps = [
        {**GOOD_STEPS["message"], "id": "a"},
        {**GOOD_STEPS["wait"], "id": "b", "amount": "soon", "next": "d"},
        None,
        {**GOOD_STEPS["exit"], "id": "d"},
    ]
    draft = read_steps(steps, LISTS)
    chart = flow.chart(draft.entries, {}, faults=draft.faults)
    assert [box.title for box in chart.boxes] == [
        "1 · Send a message",
        "2 · Wait",
        "3 · Unknown step",
        "4 · Exit",
        "End",
    ]
    assert [box.has_problem for box in chart.boxes] == [False, True, True, False, False]
    assert chart.boxes[1].text == "Enter a whole number of days from 1 to 30."
    assert len(chart.arrows) == 3  # 1 to 2; 2 to 4, as its "next" says; 3 to 4
    assert [(fault.place, fault.path) for fault in draft.faults] == [(2, "amount"), (3, "")]


def test_a_way_to_nowhere_is_not_drawn() -> None:
    draft = read_steps(
        [{**GOOD_STEPS["message"], "next": "nowhere"}, {**GOOD_STEPS["exit"], "id": "z"}], LISTS
    )
    assert flow.chart(draft.entries, {}, faults=draft.faults).arrows == []


def test_a_faulty_step_can_not_take_the_end_s_place() -> None:
    draft = read_steps([{**GOOD_STEPS["message"], "next": END}, {**GOOD_STEPS["exit"], "id": END}], LISTS)
    [arrow] = flow.chart(draft.entries, {}, faults=draft.faults).arrows
    assert len(arrow.points) == 4  # beside the second step, to the end


def test_other_steps_problems_are_said_beside_a_faulty_one() -> None:
    asks = {"kind": "all", "of": [{**SENT, "step": "b"}]}
    draft = read_steps(
        [
            {"kind": "message", "id": "b"},  # no text, but a message all the same
            {**GOOD_STEPS["condition"], "id": "c", "test": asks, "yes": "nowhere"},
        ],
        LISTS,
    )
    assert [str(fault) for fault in draft.faults] == [
        "Step 1, Send a message: enter the text of the message.",
        'Step 2, Condition: choose another step in "If yes, go to": the chosen one does not exist.',
    ]


def nested(levels: int) -> Document:
    test: Document = FIELD
    for _ in range(levels):
        test = {"kind": "all", "of": [test]}
    return test


@pytest.mark.parametrize("levels", [6, 20, 40])
def test_groups_too_deep_are_said_at_their_step(levels: int) -> None:
    draft = read_steps([{**GOOD_STEPS["condition"], "test": nested(levels)}], LISTS)
    said = "Step 1, Condition: remove the innermost group: groups may be nested 5 levels deep."
    assert [str(fault) for fault in draft.faults] == [said]


def test_ten_thousand_steps_are_one_problem_and_a_hundred_boxes() -> None:
    draft = read_steps([GOOD_STEPS["message"]] * 10_000, LISTS)
    assert [str(fault) for fault in draft.faults] == [
        "Remove steps: the journey has 10,000, and 100 are allowed."
    ]
    assert len(flow.chart(draft.entries, {}, faults=draft.faults).boxes) == 101
    assert read_trigger(nested(4) | {"of": [FIELD] * 10_000}, LISTS)[1] != []
