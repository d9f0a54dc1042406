"""The language of triggers and of condition steps: what is asked of a contact, and how it is answered.

A document is a test, or a group of tests: `{"kind": "all" | "any", "of": [test, …]}`, nested. Texts are
compared without regard to case, and numbers and booleans as the texts that a person would write for them
(`5`, `true`), so that a marketer need not know which of them a client sends. A field that a contact lacks is
equal to nothing: `ne` and `not_in` hold for it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

MOST_TESTS = 50
"""Of one trigger or condition step."""
MOST_LEVELS = 5
"""Of groups in groups."""

Text = Annotated[str, Meta(min_length=1, max_length=200)]


class Operator(StrEnum):
    """What a custom field is asked."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "not_in"
    EXISTS = "exists"
    CONTAINS = "contains"


class FieldTest(Struct, tag_field="kind", tag="field", forbid_unknown_fields=True, frozen=True):
    """A custom field of the membership: `eq`, `ne` and `contains` take one value, `exists` none."""

    name: Text
    operator: Operator
    values: Annotated[list[Annotated[str, Meta(max_length=200)]], Meta(max_length=100)] = []


class Membership(StrEnum):
    """What is asked of the contact's active memberships."""

    ON = "on"
    """The contact is on at least one of the lists."""
    NOT_ON = "not_on"
    """The contact is on none of them."""


class ListTest(Struct, tag_field="kind", tag="list", forbid_unknown_fields=True, frozen=True):
    """Membership of lists, by their ids."""

    operator: Membership
    lists: Annotated[list[int], Meta(min_length=1, max_length=1_000)]


class Event(StrEnum):
    """What may have happened since the enrollment."""

    SENT = "sent"
    """A message step's message went out."""
    FAILED = "failed"
    """A message step's message could not be sent."""
    JOINED = "joined"
    """The contact joined one of the lists."""


class HappenedTest(Struct, tag_field="kind", tag="happened", forbid_unknown_fields=True, frozen=True):
    """`sent` and `failed` name a message step (none: any), `joined` the lists. Not for triggers."""

    event: Event
    step: str = ""
    lists: Annotated[list[int], Meta(max_length=1_000)] = []


class AllOf(Struct, tag_field="kind", tag="all", forbid_unknown_fields=True, frozen=True):
    of: "list[Test]"


class AnyOf(Struct, tag_field="kind", tag="any", forbid_unknown_fields=True, frozen=True):
    of: "list[Test]"


Group = AllOf | AnyOf
Test = AllOf | AnyOf | FieldTest | ListTest | HappenedTest


class Person:
    """What tests see of a contact, as a member of a list."""

    __slots__ = ("_texts", "fields", "happened", "joined", "lists")

    def __init__(
        self,
        fields: Mapping[str, Any],
        lists: set[int],
        happened: set[tuple[str, str]] | None = None,
        joined: set[int] | None = None,
    ) -> None:
        self.fields = fields
        """Custom fields."""
        self.lists = lists
        """Ids of the lists that the contact is an active member of."""
        self.happened = set() if happened is None else happened
        """(event, step) of the contact's messages since the enrollment."""
        self.joined = set() if joined is None else joined
        """Ids of the lists that the contact joined since the enrollment."""
        self._texts: dict[str, str | None] = {}

    def text(self, name: str) -> str | None:
        """A custom field as it is compared; None: the contact has no such field."""
        try:
            return self._texts[name]
        except KeyError:
            found = self._texts[name] = as_text(self.fields[name]).casefold() if name in self.fields else None
            return found


def as_text(value: Any) -> str:
    """A custom field's value as a person would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():  # jsonb gives 1e22 back with all its digits, too
        return str(int(value))
    return str(value)


Check = Callable[[Person], bool]


def compiled(test: Test) -> Check:
    """A function that evaluates the test. An empty group is false for every contact."""
    match test:
        case AllOf() | AnyOf():
            return _group(test)
        case FieldTest():
            return _field(test)
        case ListTest():
            lists = frozenset(test.lists)
            if test.operator is Membership.ON:
                return lambda person: not lists.isdisjoint(person.lists)
            return lambda person: lists.isdisjoint(person.lists)
        case HappenedTest():
            return _happened(test)


def _group(group: Group) -> Check:
    checks = [compiled(test) for test in group.of]
    if len(checks) == 1:
        return checks[0]
    decides = isinstance(group, AnyOf)  # the first answer of this kind is the group's
    if not checks:
        return lambda _: False

    def answer(person: Person) -> bool:
        for check in checks:  # a slice asks tens of thousands of times: no generator
            if check(person) is decides:
                return decides
        return not decides

    return answer


def _field(test: FieldTest) -> Check:
    name, values = test.name, frozenset(value.casefold() for value in test.values)
    match test.operator:
        case Operator.EQ | Operator.IN:
            return lambda person: person.text(name) in values
        case Operator.NE | Operator.NOT_IN:
            return lambda person: person.text(name) not in values
        case Operator.EXISTS:
            return lambda person: name in person.fields
        case Operator.CONTAINS:
            part = next(iter(values), "")  # a draft may have none yet
            return lambda person: part in (person.text(name) or "")


def _happened(test: HappenedTest) -> Check:
    if test.event is Event.JOINED:
        lists = frozenset(test.lists)
        return lambda person: not lists.isdisjoint(person.joined)
    if test.step:
        happening = (str(test.event), test.step)
        return lambda person: happening in person.happened
    return lambda person: any(event == test.event for event, _ in person.happened)


def leaves(test: Test) -> "Iterator[FieldTest | ListTest | HappenedTest]":
    """The tests in it that are no groups."""
    if isinstance(test, AllOf | AnyOf):
        for part in test.of:
            yield from leaves(part)
    else:
        yield test


def entrances(trigger: Test) -> set[int]:
    """The lists of which one must be joined to begin a journey: those that its trigger asks membership of.

    Empty: any list.
    """
    tests = [test for test in leaves(trigger) if isinstance(test, ListTest)]
    return {on for test in tests if test.operator is Membership.ON for on in test.lists}


def begins(trigger: Group, list_id: int, person: Person) -> bool:
    """Whether joining the list begins the journey for this contact."""
    lists = entrances(trigger)
    return (not lists or list_id in lists) and compiled(trigger)(person)


@dataclass(frozen=True)
class Problem:
    """Something that keeps a journey from being used, as a sentence that says what to do."""

    message: str
    step: str = ""
    """The id of the step it is about; empty: the trigger, or the journey."""
    path: str = ""
    """Of the field it is about, in the step's or the trigger's document: `test.of.0.name`."""


def levels(test: Test) -> int:
    """How many groups are in each other."""
    return 1 + max(map(levels, test.of), default=0) if isinstance(test, AllOf | AnyOf) else 0


def problems(test: Test, lists: set[int], path: str = "") -> Iterator[Problem]:
    """What is wrong with a test, which stands at `path`. `lists`: the ids of the account's lists."""
    if levels(test) > MOST_LEVELS:
        yield Problem(TOO_DEEP, path=path)
    if (number := sum(1 for _ in leaves(test))) > MOST_TESTS:
        yield Problem(too_many(number), path=path)
    for place, part in _placed(test, path):
        match part:
            case AllOf(of=[]) | AnyOf(of=[]):
                yield Problem("Add a condition to the empty group, or remove the group.", path=place)
            case FieldTest():
                if sentence := _of_values(part):
                    yield Problem(sentence, path=under(place, "values"))
            case HappenedTest(event=Event.JOINED, lists=[]):
                yield Problem("Choose at least one list.", path=under(place, "lists"))
            case ListTest() | HappenedTest() if not lists.issuperset(part.lists):
                yield Problem(
                    "Choose another list: a chosen one is not a list of this account.",
                    path=under(place, "lists"),
                )


TOO_DEEP = f"Remove the innermost group: groups may be nested {MOST_LEVELS} levels deep."


def too_many(number: int) -> str:
    """The sentence for more than MOST_TESTS conditions."""
    return f"Remove conditions: there are {number:,}, and {MOST_TESTS} are allowed."


def under(path: str, name: str) -> str:
    """A path, one name longer."""
    return f"{path}.{name}" if path else name


def _of_values(test: FieldTest) -> str:
    match test:
        case FieldTest(operator=Operator.EXISTS, values=[_, *_]):
            return 'Remove the value: "exists" takes none.'
        case FieldTest(operator=Operator.EQ | Operator.NE | Operator.CONTAINS) if len(test.values) != 1:
            return "Enter one value."
        case FieldTest(operator=Operator.CONTAINS, values=[""]):
            return "Enter the text that the field must contain."
        case FieldTest(operator=Operator.IN | Operator.NOT_IN, values=[]):
            return "Enter at least one value."
    return ""


def _placed(test: Test, path: str) -> Iterator[tuple[str, Test]]:
    """A test and all that are in it, each with its path."""
    yield path, test
    if isinstance(test, AllOf | AnyOf):
        for place, part in enumerate(test.of):
            yield from _placed(part, under(path, f"of.{place}"))


def read_trigger(document: Any) -> Group:
    """A stored trigger. Raises msgspec.ValidationError, whose message says where it is wrong."""
    found: Group = convert(document, AllOf | AnyOf)
    return found


def convert(document: Any, to: Any) -> Any:
    """msgspec.convert; what is nested too deeply is a ValidationError, too."""
    try:
        return msgspec.convert(document, to)
    except RecursionError:
        raise msgspec.ValidationError("Nested too deeply") from None
