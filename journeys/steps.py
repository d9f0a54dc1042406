"""The steps of a journey: what each does, how they follow each other, and what is wrong with a draft.

A plan is a list of steps. After a step comes the one that its `next` names, or the one below it; a condition
has two ways on. Below the last step the journey ends.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import time, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from journeys import conditions, text
from journeys.conditions import AllOf, AnyOf, Event, HappenedTest, Problem, Test

MOST_STEPS = 100
LONGEST = timedelta(days=30)
"""Of all waits together."""
EXPIRES = LONGEST + timedelta(days=1)
"""After the enrollment: an enrollment that is still active then expires. A day more than its waits may take:
quiet hours hold messages, and days have up to 25 hours."""
SHORTEST_OF_LOOP = timedelta(hours=1)
"""Steps that are taken over and over wait at least so long in between."""
END = "end"
"""Where a way on leads that ends the journey."""
WAYS = {"next": "Then go to", "yes": "If yes, go to", "no": "If no, go to"}
"""The fields that say which step comes next, and their labels in the builder."""

Id = Annotated[str, Meta(pattern=r"^(?!end\Z)[A-Za-z0-9_-]{1,16}\Z")]


class _Step(Struct, tag_field="kind", forbid_unknown_fields=True, frozen=True):
    id: Id


class Message(_Step, tag="message", frozen=True):
    """Send a text message; waits while the contact's quiet hours last."""

    text: str
    next: str = ""


class Wait(_Step, tag="wait", frozen=True):
    """Days are days of the contact's calendar: the same time of day, also over a change of the clocks."""

    amount: Annotated[int, Meta(ge=1)]
    unit: Literal["minutes", "hours", "days"]
    next: str = ""


class WaitUntil(_Step, tag="wait_until", frozen=True):
    """Wait until the next time that it is `at` (`HH:MM`) where the contact is."""

    at: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")]
    next: str = ""

    @property
    def time_of_day(self) -> time:
        return time.fromisoformat(self.at)


class Condition(_Step, tag="condition", frozen=True):
    """Go on with one of two steps."""

    test: conditions.Test
    yes: str = ""
    no: str = ""


class SetField(_Step, tag="set_field", frozen=True):
    """Set a custom field of the membership."""

    name: conditions.Text
    value: Annotated[str, Meta(max_length=1000)]
    next: str = ""


class Unsubscribe(_Step, tag="unsubscribe", frozen=True):
    """Opt the contact out of the list; that ends all its journeys, this one too."""


class Exit(_Step, tag="exit", frozen=True):
    """End the journey."""


Step = Message | Wait | WaitUntil | Condition | SetField | Unsubscribe | Exit
WAITS = (Wait, WaitUntil)


class Plan:
    """Steps in their order, and what follows which."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)
        self.by_id = {step.id: step for step in steps}
        below = [*(step.id for step in steps[1:]), END]
        self._below = dict(zip((step.id for step in steps), below, strict=False))
        self.checks = {
            step.id: conditions.compiled(step.test) for step in steps if isinstance(step, Condition)
        }
        """The conditions' tests, ready to be asked."""

    @property
    def first(self) -> Step | None:
        return self.steps[0] if self.steps else None

    def number(self, step_id: str) -> int:
        """The step's place in the list, from 1, which is how people know it."""
        return next(place for place, step in enumerate(self.steps, 1) if step.id == step_id)

    def target(self, step: Step, way: str) -> Step | None:
        """Where a way on leads; None: to the end."""
        return self.by_id.get(way or self._below[step.id])

    def after(self, step: Step) -> Step | None:
        """What comes after a step that has one way on, if anything does."""
        return self.target(step, getattr(step, "next", END))

    def ways(self, step: Step) -> list[tuple[str, Step | None]]:
        """All ways on, each with its label."""
        if isinstance(step, Condition):
            return [("yes", self.target(step, step.yes)), ("no", self.target(step, step.no))]
        if isinstance(step, Unsubscribe | Exit):
            return []
        return [("", self.after(step))]


def read_plan(document: Any) -> Plan:
    """A stored plan. Raises msgspec.ValidationError, whose message says where it is wrong."""
    return Plan(conditions.convert(document, list[Step]))


def problems(plan: Plan, lists: set[int]) -> Iterator[Problem]:
    """What is wrong with a plan whose steps are each well-formed. `lists`: the ids of the account's lists."""
    if len(plan.steps) > MOST_STEPS:
        yield Problem(too_many(len(plan.steps)))
        return
    if len(plan.by_id) < len(plan.steps):
        yield Problem("Two steps have the same id.")
        return
    kinds = {step.id: kind_of(step) for step in plan.steps}
    for step in plan.steps:
        yield from of_step(step, kinds, lists)
    yield from _of_ways(plan)


def too_many(number: int) -> str:
    """The sentence for more than MOST_STEPS steps."""
    return f"Remove steps: the journey has {number:,}, and {MOST_STEPS} are allowed."


def kind_of(step: Step) -> str:
    """As documents name it: `wait_until`."""
    return str(step.__struct_config__.tag)


def of_step(step: Step, kinds: Mapping[str, str], lists: set[int]) -> Iterator[Problem]:
    """What is wrong with one step. `kinds`: of all steps of the draft by id, well-formed or not."""
    for way, label in WAYS.items():
        target = getattr(step, way, "")
        if target and target != END and target not in kinds:
            yield Problem(f'Choose another step in "{label}": the chosen one does not exist.', step.id, way)
    match step:
        case Message():
            for sentence in text.problems(step.text):
                yield Problem(sentence, step.id, "text")
        case Wait() if duration(step) > LONGEST:
            yield Problem(wait_bounds(step.unit), step.id, "amount")
        case Condition():
            for found in conditions.problems(step.test, lists, "test"):
                yield replace(found, step=step.id)
            for path in _not_messages(step.test, kinds, "test"):
                yield Problem("Choose another message: the chosen step sends none.", step.id, path)


def wait_bounds(unit: str) -> str:
    """The sentence for a wait that is too short or too long."""
    return f"Enter a whole number of {unit} from 1 to {LONGEST // timedelta(**{unit: 1}):,}."


def _not_messages(test: Test, kinds: Mapping[str, str], path: str) -> Iterator[str]:
    """Where a test asks what became of a message that is none."""
    match test:
        case AllOf() | AnyOf():
            for place, part in enumerate(test.of):
                yield from _not_messages(part, kinds, f"{path}.of.{place}")
        case HappenedTest(event=Event.SENT | Event.FAILED, step=str(named)) if named:
            if kinds.get(named) != "message":
                yield f"{path}.step"


def duration(step: Wait) -> timedelta:
    """How long a wait is, where no clock changes."""
    return timedelta(**{step.unit: min(step.amount, 100_000)})


def _at_most(step: Wait | WaitUntil) -> timedelta:
    """How long a wait lasts at most: the next time that it is ten may be a day away."""
    return duration(step) if isinstance(step, Wait) else timedelta(days=1)


def _of_ways(plan: Plan) -> Iterator[Problem]:
    without_waits = {
        step.id: [to.id for _, to in plan.ways(step) if to]
        for step in plan.steps
        if not (isinstance(step, WAITS) and _at_most(step) >= SHORTEST_OF_LOOP)
    }
    for looping in _on_a_cycle(without_waits):
        yield Problem(
            "Add a wait of at least 1 hour to the loop that this step is in: it repeats without a pause.",
            looping,
        )
        return
    everything = {step.id: [to.id for _, to in plan.ways(step) if to] for step in plan.steps}
    reached = set(_reached(everything, [plan.steps[0].id] if plan.steps else []))
    for step in plan.steps:
        if step.id not in reached:
            yield Problem("Let a step lead here, or remove this one: no step leads to it.", step.id)
    if any(isinstance(step, Wait) and duration(step) > LONGEST for step in plan.steps):
        return  # which that step's own problem says
    if not any(True for _ in _on_a_cycle(everything)) and _longest(plan) > LONGEST:
        yield Problem(f"Shorten the waits: together they take more than {LONGEST.days} days.")


def _reached(ways: dict[str, list[str]], start: Iterable[str]) -> Iterator[str]:
    seen, open_ = set[str](), list(start)
    while open_:
        step = open_.pop()
        if step not in seen:
            seen.add(step)
            yield step
            open_ += ways.get(step, [])


def _on_a_cycle(ways: dict[str, list[str]]) -> Iterator[str]:
    return (step for step, targets in ways.items() if step in set(_reached(ways, targets)))


def _longest(plan: Plan) -> timedelta:
    """The waits on the longest way through a plan without cycles."""
    known: dict[str, timedelta] = {}

    def rest(step: Step) -> timedelta:
        if step.id not in known:
            own = _at_most(step) if isinstance(step, WAITS) else timedelta()
            known[step.id] = own + max((rest(to) for _, to in plan.ways(step) if to), default=timedelta())
        return known[step.id]

    return rest(plan.first) if plan.first else timedelta()
