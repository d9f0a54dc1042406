"""What triggers and condition steps ask, test by test."""

from typing import Any

import msgspec
import pytest

from journeys.conditions import (
    MOST_LEVELS,
    MOST_TESTS,
    AllOf,
    AnyOf,
    Event,
    FieldTest,
    Group,
    HappenedTest,
    ListTest,
    Membership,
    Operator,
    Person,
    Test,
    as_text,
    begins,
    compiled,
    entrances,
    leaves,
    levels,
    problems,
    read_trigger,
)

YES = ListTest(Membership.ON, [1])
NO = ListTest(Membership.NOT_ON, [1])
ALWAYS = (True,) * 4
NEVER = (False,) * 4


def holds(test: Test, fields: dict[str, Any] | None = None, **more: Any) -> bool:
    return compiled(test)(Person(fields or {}, **{"lists": {1}, **more}))


def field(operator: str, *values: str, name: str = "a") -> FieldTest:
    return FieldTest(name, Operator(operator), list(values))


def nested(groups: int, kind: type[AllOf] | type[AnyOf] = AllOf, inner: Test = YES) -> Group:
    group = kind([inner])
    for _ in range(groups - 1):
        group = kind([group])
    return group


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Text", "Text"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (5.0, "5"),
        (-5.0, "-5"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (-2.50, "-2.5"),
        (1e14, "100000000000000"),
        (1e22, "1" + 22 * "0"),
        (10**22, "1" + "0" * 22),
    ],
)
def test_values_are_written_as_a_person_would(value: Any, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("fields", "value", "equal"),
    [
        ({"a": "Gold"}, "gold", True),
        ({"a": "gold"}, "GOLD", True),
        ({"a": "golden"}, "gold", False),
        ({"a": " gold"}, "gold", False),
        ({"a": "STRASSE"}, "straße", True),
        ({"a": "straße"}, "STRASSE", True),
        ({"a": "Strase"}, "straße", False),
        ({"a": "ΣΊΣΥΦΟΣ"}, "σίσυφος", True),
        ({"a": 5}, "5", True),
        ({"a": 5.0}, "5", True),
        ({"a": 5}, "5.0", False),
        ({"a": "5.0"}, "5", False),
        ({"a": 5.5}, "5.5", True),
        ({"a": 1e22}, "1" + 22 * "0", True),
        ({"a": 10**22}, "10000000000000000000000", True),
        ({"a": True}, "true", True),
        ({"a": True}, "True", True),
        ({"a": True}, "1", False),
        ({"a": 1}, "true", False),
        ({"a": False}, "FALSE", True),
        ({"a": False}, "", False),
        ({"a": 0}, "", False),
        ({"a": ""}, "", True),
        ({"a": ""}, "x", False),
        ({}, "", False),
        ({}, "none", False),
        ({"A": "gold"}, "gold", False),
    ],
)
def test_equal_is_equal_but_for_case_and_for_how_a_client_types_it(
    fields: dict[str, Any], value: str, equal: bool
) -> None:
    asked = {name: holds(field(name, value), fields) for name in ("eq", "in", "ne", "not_in")}
    assert asked == {"eq": equal, "in": equal, "ne": not equal, "not_in": not equal}


@pytest.mark.parametrize(
    ("fields", "among"),
    [
        ({"a": "RED"}, True),
        ({"a": 7.0}, True),
        ({"a": True}, True),
        ({"a": ""}, True),
        ({"a": "green"}, False),
        ({"a": 8}, False),
        ({}, False),
    ],
)
def test_in_asks_for_any_of_several_values(fields: dict[str, Any], among: bool) -> None:
    values = ("red", "7", "True", "")
    assert holds(field("in", *values), fields) is among
    assert holds(field("not_in", *values), fields) is not among


@pytest.mark.parametrize(
    ("fields", "there"),
    [({"a": ""}, True), ({"a": False}, True), ({"a": 0}, True), ({}, False), ({"A": "x"}, False)],
)
def test_an_empty_field_exists_a_missing_one_does_not(fields: dict[str, Any], there: bool) -> None:
    assert holds(field("exists"), fields) is there


@pytest.mark.parametrize(
    ("fields", "part", "within"),
    [
        ({"a": "Jane@Example.COM"}, "@example.com", True),
        ({"a": "example"}, "example", True),
        ({"a": "exam"}, "example", False),
        ({"a": "Hauptstraße 5"}, "STRASSE", True),
        ({"a": "HAUPTSTRASSE 5"}, "straß", True),
        ({"a": 1234}, "23", True),
        ({"a": 5.0}, ".0", False),
        ({"a": True}, "RU", True),
        ({"a": ""}, "x", False),
        ({}, "on", False),
        ({}, "x", False),
    ],
)
def test_contains_asks_for_a_part(fields: dict[str, Any], part: str, within: bool) -> None:
    assert holds(field("contains", part), fields) is within


@pytest.mark.parametrize(
    ("lists", "on"), [({1}, True), ({2, 3}, True), ({1, 2}, True), ({3}, False), (set(), False)]
)
def test_on_asks_for_one_of_the_lists_and_not_on_for_none_of_them(lists: set[int], on: bool) -> None:
    assert holds(ListTest(Membership.ON, [1, 2]), lists=lists) is on
    assert holds(ListTest(Membership.NOT_ON, [1, 2]), lists=lists) is not on


@pytest.mark.parametrize(
    ("happened", "answers"),
    [
        (set(), NEVER),
        ({("sent", "m1")}, (True, True, False, False)),
        ({("sent", "m2")}, (True, False, False, False)),
        ({("failed", "m1")}, (False, False, True, True)),
        ({("failed", "m2")}, (False, False, True, False)),
        ({("sent", "m1"), ("failed", "m2")}, (True, True, True, False)),
        ({("sent", "m1"), ("failed", "m1")}, ALWAYS),
        ({("queued", "m1")}, NEVER),
    ],
)
def test_what_happened_to_messages(happened: set[tuple[str, str]], answers: tuple[bool, ...]) -> None:
    """Asked for: any sent, m1 sent, any failed, m1 failed."""
    tests = [HappenedTest(event, step) for event in (Event.SENT, Event.FAILED) for step in ("", "m1")]
    assert tuple(holds(test, happened=happened) for test in tests) == answers


@pytest.mark.parametrize(("joined", "answer"), [({2}, True), ({2, 9}, True), ({9}, False), (set(), False)])
def test_joining_counts_from_the_enrollment_on_and_is_not_being_on_a_list(
    joined: set[int], answer: bool
) -> None:
    assert holds(HappenedTest(Event.JOINED, lists=[1, 2]), lists={1, 2}, joined=joined) is answer


@pytest.mark.parametrize(
    ("test", "answer"),
    [
        (AllOf([]), False),
        (AnyOf([]), False),
        (AllOf([AllOf([])]), False),
        (AllOf([YES, AnyOf([])]), False),
        (AnyOf([YES, AllOf([])]), True),
        (AllOf([YES]), True),
        (AnyOf([YES]), True),
        (AllOf([NO]), False),
        (AnyOf([NO]), False),
        (AllOf([YES, YES]), True),
        (AllOf([YES, NO]), False),
        (AllOf([NO, YES]), False),
        (AnyOf([NO, YES]), True),
        (AnyOf([NO, NO]), False),
        (AllOf([AnyOf([NO, YES]), AnyOf([YES, NO])]), True),
        (AllOf([AnyOf([NO, YES]), AnyOf([NO, NO])]), False),
        (AnyOf([AllOf([YES, NO]), AllOf([YES, YES])]), True),
        (AnyOf([AllOf([YES, NO]), AllOf([NO, YES])]), False),
        (AnyOf([NO, AllOf([YES, AnyOf([NO, AllOf([YES, AnyOf([NO, YES])])])])]), True),
        (AnyOf([NO, AllOf([YES, AnyOf([NO, AllOf([YES, AnyOf([NO, NO])])])])]), False),
        (nested(MOST_LEVELS), True),
        (nested(MOST_LEVELS, AnyOf, NO), False),
    ],
)
def test_groups_hold_by_all_or_by_any_of_their_tests(test: Test, answer: bool) -> None:
    assert holds(test) is answer


def test_one_compiled_test_answers_for_many_people() -> None:
    check = compiled(AllOf([field("ne", "x"), field("exists", name="b")]))
    people: list[dict[str, Any]] = [{"a": "X", "b": 1}, {"a": "y", "b": 1}, {"b": ""}, {"a": "y"}]
    assert [check(Person(fields, set())) for fields in people] == [False, True, True, False]


def test_leaves_and_levels_of_nested_groups() -> None:
    tests = AllOf([field("exists"), AnyOf([YES, AllOf([NO])]), AnyOf([])])
    assert list(leaves(tests)) == [field("exists"), YES, NO]
    assert (levels(tests), levels(AllOf([])), levels(YES)) == (3, 1, 0)


def test_a_person_shares_what_happened_and_is_not_given_a_copy() -> None:
    happened, joined = set[tuple[str, str]](), set[int]()
    person = Person({}, set(), happened, joined)
    assert (person.happened is happened, person.joined is joined) == (True, True)
    check = compiled(AllOf([HappenedTest(Event.SENT, "m1"), HappenedTest(Event.JOINED, lists=[2])]))
    assert not check(person)
    happened.add(("sent", "m1"))
    joined.add(2)
    assert check(person)


def test_people_of_whom_nothing_is_said_have_nothing_in_common() -> None:
    first, second = Person({}, set()), Person({}, set())
    first.happened.add(("sent", "m1"))
    first.joined.add(1)
    assert (second.happened, second.joined) == (set(), set())


ON_TWO, ON_THREE = ListTest(Membership.ON, [2]), ListTest(Membership.ON, [3, 4])


@pytest.mark.parametrize(
    ("trigger", "lists"),
    [
        (AllOf([]), set()),
        (AllOf([field("exists")]), set()),
        (AllOf([NO]), set()),
        (AllOf([HappenedTest(Event.JOINED, lists=[1])]), set()),
        (AllOf([YES]), {1}),
        (AnyOf([ON_TWO, ON_THREE]), {2, 3, 4}),
        (AllOf([YES, ListTest(Membership.NOT_ON, [2])]), {1}),
        (AllOf([YES, field("exists"), AnyOf([NO, AllOf([ON_TWO, ON_THREE])])]), {1, 2, 3, 4}),
        (YES, {1}),
        (NO, set()),
    ],
)
def test_a_journey_is_entered_by_the_lists_that_its_trigger_asks_membership_of(
    trigger: Test, lists: set[int]
) -> None:
    assert entrances(trigger) == lists


@pytest.mark.parametrize(
    ("trigger", "list_id", "lists", "answer"),
    [
        (AllOf([YES]), 1, {1}, True),
        (AllOf([YES]), 1, set(), False),  # not an active member
        (AllOf([YES]), 2, {1, 2}, False),  # on list 1 for long: joining another begins nothing
        (AnyOf([YES, ON_TWO]), 2, {2}, True),
        (AllOf([YES, ON_TWO]), 2, {1, 2}, True),
        (AllOf([YES, ON_TWO]), 1, {1, 2}, True),
        (AllOf([YES, ON_TWO]), 2, {2}, False),
        (AllOf([NO]), 2, {2}, True),
        (AllOf([NO]), 2, {1, 2}, False),
        (AllOf([YES, ListTest(Membership.NOT_ON, [2])]), 1, {1, 2}, False),
        (AllOf([YES, ListTest(Membership.NOT_ON, [2])]), 2, {1}, False),
        (AllOf([field("eq", "x")]), 9, {9}, True),
        (AllOf([field("eq", "y")]), 9, {9}, False),
        (AnyOf([field("eq", "x"), YES]), 9, {9}, False),  # it names a list, and that is another
        (AnyOf([field("eq", "x"), YES]), 1, set(), True),
        (AllOf([]), 1, {1}, False),
    ],
)
def test_joining_a_list_begins_a_journey_where_its_trigger_holds_and_names_that_list_or_none(
    trigger: Group, list_id: int, lists: set[int], answer: bool
) -> None:
    assert begins(trigger, list_id, Person({"a": "x"}, lists)) is answer


@pytest.mark.parametrize(
    "good", [{"kind": "list", "operator": "on"}, {"kind": "happened", "event": "joined"}]
)
def test_a_test_names_up_to_a_thousand_lists(good: dict[str, Any]) -> None:
    numbers = list(range(1_000))
    [test] = read_trigger({"kind": "all", "of": [{**good, "lists": numbers}]}).of
    assert isinstance(test, ListTest | HappenedTest)
    assert test.lists == numbers


NO_CONDITION = "Add a condition to the empty group, or remove the group."
NO_LIST = "Choose another list: a chosen one is not a list of this account."


@pytest.mark.parametrize(
    ("test", "sentences"),
    [
        (AllOf([YES, field("eq", ""), field("in", "", "x"), field("exists"), field("contains", " ")]), []),
        (nested(MOST_LEVELS), []),
        (nested(MOST_LEVELS + 1), ["Remove the innermost group: groups may be nested 5 levels deep."]),
        (AllOf([YES] * MOST_TESTS), []),
        (AnyOf([AllOf([YES] * MOST_TESTS), NO]), ["Remove conditions: there are 51, and 50 are allowed."]),
        (AllOf([]), [NO_CONDITION]),
        (AnyOf([YES, AnyOf([]), AllOf([])]), [NO_CONDITION, NO_CONDITION]),
        (field("exists", "x"), ['Remove the value: "exists" takes none.']),
        (field("exists", ""), ['Remove the value: "exists" takes none.']),
        *(
            (field(operator, *values), ["Enter one value."])
            for operator in ("eq", "ne", "contains")
            for values in ((), ("x", "y"))
        ),
        (field("contains", ""), ["Enter the text that the field must contain."]),
        (field("in"), ["Enter at least one value."]),
        (field("not_in"), ["Enter at least one value."]),
        (HappenedTest(Event.JOINED), ["Choose at least one list."]),
        (HappenedTest(Event.JOINED, lists=[1, 2]), []),
        (HappenedTest(Event.SENT), []),
        (HappenedTest(Event.FAILED, "m1"), []),
        (HappenedTest(Event.JOINED, lists=[1, 3]), [NO_LIST]),
        (ListTest(Membership.ON, [3]), [NO_LIST]),
        (ListTest(Membership.NOT_ON, [2, 3]), [NO_LIST]),
        (
            AllOf([AnyOf([field("in"), ListTest(Membership.ON, [3])]), field("eq", name="b")]),
            [
                "Enter at least one value.",
                NO_LIST,
                "Enter one value.",
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_in_sentences(test: Test, sentences: list[str]) -> None:
    assert [problem.message for problem in problems(test, {1, 2})] == sentences


def test_a_problem_says_where_it_is() -> None:
    test = AllOf([YES, AnyOf([field("in"), AnyOf([]), ListTest(Membership.ON, [3])])])
    assert [problem.path for problem in problems(test, {1}, "test")] == [
        "test.of.1.of.0.values",
        "test.of.1.of.1",
        "test.of.1.of.2.lists",
    ]


def test_a_trigger_is_read_as_it_was_written() -> None:
    group = AllOf(
        [
            ListTest(Membership.ON, [1]),
            AnyOf([field("in", "x", ""), field("exists"), ListTest(Membership.NOT_ON, [2, 3])]),
            HappenedTest(Event.JOINED, lists=[4]),
            HappenedTest(Event.SENT, "m1"),
        ]
    )
    assert read_trigger(msgspec.to_builtins(group)) == group
    assert read_trigger({"kind": "any", "of": []}) == AnyOf([])


GOOD_FIELD = {"kind": "field", "name": "a", "operator": "eq", "values": ["x"]}
GOOD_LIST = {"kind": "list", "operator": "on", "lists": [1]}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "all",
        {},
        {"of": []},
        {"kind": "all"},
        {"kind": "none", "of": []},
        {"kind": "all", "of": {}},
        {"kind": "all", "of": [], "not": True},
        {"kind": "all", "of": [{}]},
        {"kind": "all", "of": [None]},
        {"kind": "any", "of": [{"kind": "all", "of": [{"kind": "weather"}]}]},
        GOOD_FIELD,
        GOOD_LIST,
    ],
)
def test_what_is_no_group_is_refused(document: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_trigger(document)


@pytest.mark.parametrize(
    ("good", "changes"),
    [
        (GOOD_FIELD, {"kind": "fields"}),
        (GOOD_FIELD, {"operator": "gt"}),
        (GOOD_FIELD, {"operator": "EQ"}),
        (GOOD_FIELD, {"name": ""}),
        (GOOD_FIELD, {"name": "x" * 201}),
        (GOOD_FIELD, {"name": 1}),
        (GOOD_FIELD, {"value": "x"}),
        (GOOD_FIELD, {"values": "x"}),
        (GOOD_FIELD, {"values": [5]}),
        (GOOD_FIELD, {"values": [True]}),
        (GOOD_FIELD, {"values": [None]}),
        (GOOD_FIELD, {"values": ["x" * 201]}),
        (GOOD_FIELD, {"values": ["x"] * 101}),
        (GOOD_LIST, {"operator": "off"}),
        (GOOD_LIST, {"lists": []}),
        (GOOD_LIST, {"lists": ["1"]}),
        (GOOD_LIST, {"lists": [True]}),
        (GOOD_LIST, {"lists": [1.5]}),
        (GOOD_LIST, {"lists": [1] * 1_001}),
        (GOOD_LIST, {"step": "m1"}),
        ({"kind": "happened", "event": "sent"}, {"event": "read"}),
        ({"kind": "happened", "event": "sent"}, {"step": 1}),
        ({"kind": "happened", "event": "sent"}, {"lists": None}),
        ({"kind": "happened", "event": "joined"}, {"lists": [1] * 1_001}),
    ],
)
def test_malformed_tests_are_refused(good: dict[str, Any], changes: dict[str, Any]) -> None:
    assert read_trigger({"kind": "all", "of": [good]}).of
    with pytest.raises(msgspec.ValidationError):
        read_trigger({"kind": "all", "of": [{**good, **changes}]})
