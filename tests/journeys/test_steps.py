"""What a plan's steps are, how they follow each other, and what is wrong with a draft."""

from typing import Any

import msgspec
import pytest

from journeys import steps
from journeys.conditions import Problem
from journeys.steps import END, MOST_STEPS, Plan, Step, read_plan

Document = dict[str, Any]
LISTS = {1, 2}
NO_WAY = "Let a step lead here, or remove this one: no step leads to it."
LOOP = "Add a wait of at least 1 hour to the loop that this step is in: it repeats without a pause."
TOO_LONG = "Shorten the waits: together they take more than 30 days."
LONG_WAIT = {
    "days": "Enter a whole number of days from 1 to 30.",
    "hours": "Enter a whole number of hours from 1 to 720.",
    "minutes": "Enter a whole number of minutes from 1 to 43,200.",
}
NO_MESSAGE = "Choose another message: the chosen step sends none."


def no_step(label: str) -> str:
    return f'Choose another step in "{label}": the chosen one does not exist.'


NEXT, YES, NO = no_step("Then go to"), no_step("If yes, go to"), no_step("If no, go to")
ON = {"kind": "list", "operator": "on", "lists": [1]}


def message(id_: str, text: str = "Hello", **more: Any) -> Document:
    return {"kind": "message", "id": id_, "text": text, **more}


def wait(id_: str, amount: int = 1, unit: str = "days", **more: Any) -> Document:
    return {"kind": "wait", "id": id_, "amount": amount, "unit": unit, **more}


def until(id_: str, at: str = "10:00", **more: Any) -> Document:
    return {"kind": "wait_until", "id": id_, "at": at, **more}


def condition(id_: str, yes: str = "", no: str = "", test: Document = ON) -> Document:
    return {"kind": "condition", "id": id_, "test": test, "yes": yes, "no": no}


def set_field(id_: str, name: str = "a", value: str = "x", **more: Any) -> Document:
    return {"kind": "set_field", "id": id_, "name": name, "value": value, **more}


def happened(event: str, step: str = "", *lists: int) -> Document:
    return {"kind": "happened", "event": event, "step": step, "lists": list(lists)}


EXIT: Document = {"kind": "exit", "id": "exit"}
LEAVE: Document = {"kind": "unsubscribe", "id": "leave"}


def problems(*documents: Document) -> list[tuple[str, str]]:
    """(step, sentence)."""
    return [(one.step, one.message) for one in steps.problems(read_plan(list(documents)), LISTS)]


def id_of(step: Step | None) -> str | None:
    return step.id if step else None


def test_a_plan_knows_its_steps_by_place_and_by_id() -> None:
    plan = read_plan([message("m"), wait("w"), EXIT])
    assert id_of(plan.first) == "m"
    assert [plan.number(step) for step in ("m", "w", "exit")] == [1, 2, 3]
    assert plan.by_id["w"] is plan.steps[1]


def test_a_plan_may_have_no_steps() -> None:
    plan = read_plan([])
    assert (plan.first, plan.steps, list(steps.problems(plan, LISTS))) == (None, [], [])


@pytest.mark.parametrize(
    ("step", "following"),
    [
        (message("x"), "below"),
        (message("x", next="last"), "last"),
        (message("x", next="x"), "x"),
        (message("x", next=END), None),
        (wait("x"), "below"),
        (wait("x", next="last"), "last"),
        (until("x", next="last"), "last"),
        (set_field("x", next=END), None),
        ({"kind": "exit", "id": "x"}, None),
        ({"kind": "unsubscribe", "id": "x"}, None),
    ],
)
def test_after_a_step_comes_the_one_it_names_or_the_one_below(step: Document, following: str | None) -> None:
    plan = read_plan([step, message("below"), message("last")])
    assert id_of(plan.after(plan.steps[0])) == following
    over = step["kind"] in ("exit", "unsubscribe")
    ways = [(label, id_of(to)) for label, to in plan.ways(plan.steps[0])]
    assert ways == ([] if over else [("", following)])


def test_below_the_last_step_the_journey_ends() -> None:
    plan = read_plan([message("a"), message("b")])
    assert plan.after(plan.steps[1]) is None
    assert plan.ways(plan.steps[1]) == [("", None)]


@pytest.mark.parametrize(
    ("yes", "no", "targets"),
    [
        ("", "", ("below", "below")),
        ("last", "", ("last", "below")),
        ("", END, ("below", None)),
        (END, "last", (None, "last")),
    ],
)
def test_a_condition_has_two_ways_on(yes: str, no: str, targets: tuple[str | None, str | None]) -> None:
    plan = read_plan([condition("c", yes, no), message("below"), message("last")])
    step = plan.steps[0]
    assert [(label, id_of(to)) for label, to in plan.ways(step)] == [("yes", targets[0]), ("no", targets[1])]
    assert (id_of(plan.target(step, yes)), id_of(plan.target(step, no))) == targets


GOOD = [
    message("m", "Hi {{first_name|there}}", next="w"),
    wait("w", 90, "minutes", next="u"),
    until("u", "23:59", next="c"),
    condition(
        "c", "s", END, {"kind": "any", "of": [ON, happened("sent", "m"), happened("joined", "", 1, 2)]}
    ),
    set_field("s", "stage", "", next="leave"),
    LEAVE,
]


def test_every_kind_of_step_is_read_as_it_was_written() -> None:
    written = [*GOOD, EXIT]
    plan = read_plan(written)
    assert [type(step) for step in plan.steps] == [
        steps.Message,
        steps.Wait,
        steps.WaitUntil,
        steps.Condition,
        steps.SetField,
        steps.Unsubscribe,
        steps.Exit,
    ]
    assert msgspec.to_builtins(plan.steps) == written
    assert read_plan(msgspec.to_builtins(plan.steps)).steps == plan.steps


@pytest.mark.parametrize("at", ["00:00", "09:05", "19:59", "23:59"])
def test_a_time_of_day_is_hours_and_minutes(at: str) -> None:
    step = read_plan([until("u", at)]).steps[0]
    assert isinstance(step, steps.WaitUntil)
    assert f"{step.time_of_day:%H:%M}" == at


@pytest.mark.parametrize("id_", ["a", "A-z_0", "x" * 16])
def test_ids_are_short_and_plain(id_: str) -> None:
    assert list(read_plan([message(id_)]).by_id) == [id_]


@pytest.mark.parametrize(
    "document",
    [
        *(message(id_) for id_ in ("", "x" * 17, "a b", "a.b", "é", "a\n", "\na", "１")),
        {"kind": "message", "text": "Hi"},
        {"kind": "message", "id": "a"},
        {**message("a"), "id": 1},
        {**message("a"), "text": None},
        message("a", next=None),
        message("a", nxt="b"),
        message("a", yes="b"),
        {"id": "a"},
        {"kind": "email", "id": "a"},
        {"kind": "Message", "id": "a", "text": "Hi"},
        *(wait("a", amount) for amount in (0, -1)),
        *({**wait("a"), "amount": amount} for amount in ("1", 1.5, True, None)),
        *(wait("a", 1, unit) for unit in ("", "day", "Days", "weeks", "seconds")),
        *(until("a", at) for at in ("24:00", "12:60", "9:00", "12:00:00", "1200", "", "12:00\n", "1２:00")),
        condition("a", test={"kind": "weather"}),
        condition("a", test={**ON, "lists": []}),
        {"kind": "condition", "id": "a"},
        {**condition("a"), "next": "b"},
        set_field("a", name=""),
        set_field("a", name="x" * 201),
        set_field("a", value="x" * 1001),
        {**set_field("a"), "value": 5},
        {**EXIT, "next": "a"},
        {**LEAVE, "next": "a"},
        None,
        "exit",
    ],
)
def test_malformed_steps_are_refused(document: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_plan([message("first"), document])


@pytest.mark.parametrize("document", [None, {}, "[]", EXIT])
def test_what_is_no_list_of_steps_is_refused(document: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_plan(document)


@pytest.mark.parametrize("number", [MOST_STEPS, MOST_STEPS + 1])
def test_a_journey_has_at_most_a_hundred_steps(number: int) -> None:
    found = problems(*(message(f"m{place}") for place in range(number)))
    assert found == (
        [("", "Remove steps: the journey has 101, and 100 are allowed.")] if number > MOST_STEPS else []
    )


def test_two_steps_of_one_id_are_the_only_thing_said() -> None:
    assert problems(message("a", ""), message("a", next="nowhere")) == [("", "Two steps have the same id.")]


@pytest.mark.parametrize(
    ("document", "sentences"),
    [
        (message("a", next="nowhere"), [NEXT]),
        (message("a", next="A"), [NEXT]),
        (wait("a", next="nowhere"), [NEXT]),
        (until("a", next="nowhere"), [NEXT]),
        (set_field("a", next="nowhere"), [NEXT]),
        (condition("a", "nowhere"), [YES]),
        (condition("a", END, "nowhere"), [NO]),
        (condition("a", "nowhere", "neither"), [YES, NO]),
        (message("a", " "), ["Enter the text of the message."]),
        (message("a", "Hi\x07"), ["Remove the character U+0007: it can't be sent."]),
        (
            message("a", "{{a"),
            ['Correct the merge tag at "{{a": write {{name}} or {{name|fallback}}.'],
        ),
        (
            condition("a", test={"kind": "all", "of": []}),
            ["Add a condition to the empty group, or remove the group."],
        ),
        (
            condition("a", test={**ON, "lists": [3]}),
            ["Choose another list: a chosen one is not a list of this account."],
        ),
    ],
)
def test_a_steps_own_problems_carry_its_id(document: Document, sentences: list[str]) -> None:
    assert problems(document) == [("a", sentence) for sentence in sentences]


@pytest.mark.parametrize(
    ("test", "sentences"),
    [
        (happened("sent"), []),
        (happened("sent", "m"), []),
        (happened("failed", "m"), []),
        (happened("sent", "nowhere"), [NO_MESSAGE]),
        (happened("failed", "w"), [NO_MESSAGE]),
        (happened("sent", "c"), [NO_MESSAGE]),
        (happened("joined", "", 1), []),
        (happened("joined", "w", 1), []),
        ({"kind": "any", "of": [ON, {"kind": "all", "of": [happened("sent", "w")]}]}, [NO_MESSAGE]),
    ],
)
def test_a_condition_asks_for_message_steps(test: Document, sentences: list[str]) -> None:
    found = problems(message("m"), wait("w"), condition("c", test=test))
    assert found == [("c", sentence) for sentence in sentences]


@pytest.mark.parametrize(
    ("amount", "unit", "long"),
    [
        (30, "days", False),
        (31, "days", True),
        (720, "hours", False),
        (721, "hours", True),
        (43_200, "minutes", False),
        (43_201, "minutes", True),
        (10**30, "minutes", True),
        (10**30, "hours", True),
        (10**30, "days", True),
    ],
)
def test_a_wait_is_at_most_thirty_days_long(amount: int, unit: str, long: bool) -> None:
    assert problems(wait("w", amount, unit)) == ([("w", LONG_WAIT[unit])] if long else [])


@pytest.mark.parametrize(
    ("documents", "long"),
    [
        ([wait("a", 15), message("m"), wait("b", 15)], False),
        ([wait("a", 15), message("m"), wait("b", 15), wait("c", 1, "minutes")], True),
        ([wait("a", 29), wait("b", 24, "hours")], False),
        ([wait("a", 29), wait("b", 24, "hours"), until("u")], True),
        ([wait("a", 29), until("u")], False),
        ([wait("a", 29), wait("b", 1, "minutes"), until("u")], True),
        ([until(f"u{place}") for place in range(30)], False),
        ([until(f"u{place}") for place in range(31)], True),
        ([condition("c", "a", "u"), wait("a", 30, next=END), until("u")], False),
        ([wait("a", 29), wait("b", 25, "hours")], True),
        ([wait("a", 16, next="b"), wait("b", 16, next=END)], True),
        ([condition("c", "a", "b"), wait("a", 20, next=END), wait("b", 20)], False),
        ([condition("c", "a", "b"), wait("a", 20), wait("b", 20)], True),
        ([condition("c", "a", "b"), wait("a", 5, next="d"), wait("b", 20), wait("d", 10)], False),
        ([condition("c", "a", "b"), wait("a", 5, next="d"), wait("b", 21), wait("d", 10)], True),
        ([condition("c", "a", "b"), wait("a", 21, next="d"), wait("b", 5), wait("d", 10)], True),
        ([condition("c", "d", "a"), wait("a", 21), wait("d", 10)], True),
        ([condition("c", "a", END), wait("a", 30), EXIT], False),
    ],
)
def test_the_waits_of_the_longest_way_are_thirty_days_at_most(documents: list[Document], long: bool) -> None:
    assert problems(*documents) == ([("", TOO_LONG)] if long else [])


def test_many_conditions_in_a_row_are_looked_at_in_no_time() -> None:
    """There are 2**49 ways through it."""
    chain = []
    for place in range(49):
        chain += [condition(f"c{place}", "", f"c{place + 1}"), wait(f"w{place}", 12, "hours")]
    assert problems(*chain, condition("c49")) == []
    assert problems(*chain, condition("c49"), wait("w", 6)) == [("", TOO_LONG)]


@pytest.mark.parametrize(
    ("documents", "at"),
    [
        ([message("a", next="a")], "a"),
        ([message("a"), set_field("b", next="a")], "a"),
        ([message("a"), condition("b", "", "a"), EXIT], "a"),
        ([condition("a", "a"), EXIT], "a"),
        ([wait("w"), message("a"), condition("b", "a", "w")], "a"),
        ([message("a"), condition("b", "w", "a"), wait("w", next="a")], "a"),
        ([EXIT, message("a", next="a")], "a"),
        ([wait("w", 59, "minutes", next="w")], "w"),
        ([message("a"), wait("w", 59, "minutes", next="a")], "a"),
        ([message("a"), wait("w", 59, "minutes"), condition("b", "a", END)], "a"),
        ([message("a"), wait("w", 30, "minutes"), message("b"), wait("v", 30, "minutes", next="a")], "a"),
        ([wait("d"), message("a"), wait("w", 59, "minutes"), condition("b", "a", "d")], "a"),
        (
            [message("a"), condition("b", "w", "v"), wait("w", next="a"), wait("v", 1, "minutes", next="a")],
            "a",
        ),
    ],
)
def test_a_loop_without_a_wait_of_an_hour_is_refused(documents: list[Document], at: str) -> None:
    assert problems(*documents) == [(at, LOOP)]


@pytest.mark.parametrize(
    "documents",
    [
        [wait("w", next="w")],
        [wait("w", 1, "hours", next="w")],
        [wait("w", 60, "minutes", next="w")],
        [until("u", next="u")],
        [message("a"), wait("w", 60, "minutes"), set_field("f"), condition("c", "a", END)],
        [message("a"), wait("w", 1, "minutes"), wait("v", 1, "hours", next="a")],
        [message("a"), wait("w", 1, "minutes"), until("u", next="a")],
        [message("a"), wait("w", next="a")],
        [message("a"), until("u", next="a")],
        [wait("w", 20), message("a"), wait("v", 20), condition("c", "w", END)],
        [message("a"), condition("c", "w", "v"), wait("w", next="a"), until("v", next="a")],
    ],
)
def test_a_loop_with_a_wait_of_an_hour_is_accepted_however_long(documents: list[Document]) -> None:
    assert problems(*documents) == []


@pytest.mark.parametrize(
    ("documents", "unreached"),
    [
        ([EXIT, message("a")], ["a"]),
        ([LEAVE, message("a"), message("b")], ["a", "b"]),
        ([message("a", next="c"), message("b"), message("c")], ["b"]),
        ([message("a", next=END), message("b")], ["b"]),
        ([condition("a", END, END), message("b")], ["b"]),
        ([condition("a", "c", END), message("b"), message("c")], ["b"]),
        ([message("a", next=END), wait("w", 20), wait("x", next="w")], ["w", "x"]),
        ([condition("a", "c", "b"), message("b", next=END), message("c")], []),
    ],
)
def test_every_step_is_reached_by_some_way(documents: list[Document], unreached: list[str]) -> None:
    assert problems(*documents) == [(step, NO_WAY) for step in unreached]


def test_waits_that_nobody_reaches_do_not_add_up() -> None:
    assert problems(wait("a", 20, next=END), wait("b", 20)) == [("b", NO_WAY)]


def test_a_good_plan_has_no_problems() -> None:
    assert problems(*GOOD) == []


@pytest.mark.parametrize("number", [1_000, 1_001])
def test_a_condition_names_at_most_a_thousand_lists(number: int) -> None:
    asked = [{**ON, "lists": [1] * number}, happened("joined", "", *[1] * number)]
    for test in asked:
        if number > 1_000:
            with pytest.raises(msgspec.ValidationError):
                read_plan([condition("c", test=test)])
        else:
            assert problems(condition("c", test=test)) == []


def test_all_problems_are_told_at_once() -> None:
    found = list(
        steps.problems(Plan(read_plan([message("a", "", next="z"), wait("b", 31), EXIT]).steps), LISTS)
    )
    assert found == [
        Problem(NEXT, "a", "next"),
        Problem("Enter the text of the message.", "a", "text"),
        Problem(LONG_WAIT["days"], "b", "amount"),
        Problem(NO_WAY, "b"),
        Problem(NO_WAY, "exit"),
    ]


def test_no_step_is_called_as_the_end_is() -> None:
    with pytest.raises(msgspec.ValidationError):
        read_plan([message("end")])


def test_far_too_many_steps_are_refused_and_no_error() -> None:
    assert problems(*(message(f"m{n}") for n in range(2_000))) == [
        ("", "Remove steps: the journey has 2,000, and 100 are allowed.")
    ]


def test_what_is_nested_madly_is_refused() -> None:
    test: Document = {"kind": "all", "of": []}
    for _ in range(20_000):
        test = {"kind": "all", "of": [test]}
    with pytest.raises(msgspec.ValidationError, match="Nested too deeply"):
        read_plan([{"kind": "condition", "id": "c", "test": test}])
    del test
