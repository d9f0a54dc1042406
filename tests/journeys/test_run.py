"""What an enrollment does when it goes on, step by step."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from journeys.clock import QuietHours
from journeys.conditions import Person
from journeys.engine.run import EnrollmentContext, Transition, describe, step_until_blocked
from journeys.models import EnrollmentStatus
from journeys.steps import EXPIRES, read_plan

Document = dict[str, Any]
NIGHT = QuietHours(time(21), time(8))
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
"""05:00 in Phoenix, which is in the night; the tests that don't care have no quiet hours."""
MORNING = datetime(2026, 6, 1, 15, 0, tzinfo=UTC)
"""08:00 in Phoenix."""
MONTH = EXPIRES
EXIT: Document = {"kind": "exit", "id": "exit"}
LEAVE: Document = {"kind": "unsubscribe", "id": "leave"}


def message(id_: str, text: str = "Hello", **more: Any) -> Document:
    return {"kind": "message", "id": id_, "text": text, **more}


def wait(id_: str, amount: int = 1, unit: str = "days", **more: Any) -> Document:
    return {"kind": "wait", "id": id_, "amount": amount, "unit": unit, **more}


def until(id_: str, at: str) -> Document:
    return {"kind": "wait_until", "id": id_, "at": at}


def condition(id_: str, yes: str = "", no: str = "", value: str = "gold") -> Document:
    test = {"kind": "field", "name": "plan", "operator": "eq", "values": [value]}
    return {"kind": "condition", "id": id_, "test": test, "yes": yes, "no": no}


def set_field(id_: str, name: str, value: str, **more: Any) -> Document:
    return {"kind": "set_field", "id": id_, "name": name, "value": value, **more}


def traveller(step: str = "", enrolled_at: datetime = NOW, **more: Any) -> EnrollmentContext:
    person = more.pop("person", None) or Person(more.pop("fields", {}), {1})
    known = {"brand_name": "Acme"}
    return EnrollmentContext(step, enrolled_at, ZoneInfo("America/Phoenix"), person, known, **more)


def run(
    *documents: Document,
    who: EnrollmentContext | None = None,
    now: datetime = NOW,
    quiet: QuietHours | None = None,
) -> Transition:
    return step_until_blocked(read_plan(list(documents)), who or traveller(), now, quiet)


def test_a_plan_without_steps_completes() -> None:
    assert run() == Transition(EnrollmentStatus.COMPLETED)


def test_the_end_of_the_list_ends_the_journey() -> None:
    assert run(message("a", "Hi"), message("b", "{{brand_name}}")) == Transition(
        EnrollmentStatus.COMPLETED, "b", visits=[("a", ""), ("b", "")], messages=[(0, "Hi"), (1, "Acme")]
    )


def test_next_leads_elsewhere_and_end_to_the_end() -> None:
    found = run(message("a", next="c"), message("b"), message("c", next="end"), message("d"))
    assert found.visits == [("a", ""), ("c", "")]
    assert (found.status, found.step) == (EnrollmentStatus.COMPLETED, "c")


@pytest.mark.parametrize(
    ("step", "due_at"),
    [
        (wait("w", 10, "minutes"), NOW + timedelta(minutes=10)),
        (wait("w", 2, "hours"), NOW + timedelta(hours=2)),
        (wait("w", 3, "days"), NOW + timedelta(days=3)),
        (until("w", "08:00"), MORNING),
        (until("w", "05:00"), NOW + timedelta(days=1)),
    ],
)
def test_a_wait_is_visited_when_it_begins_and_left_when_it_is_over(step: Document, due_at: datetime) -> None:
    begun = run(message("a"), step, message("b", "Bye"), quiet=None)
    assert begun == Transition(EnrollmentStatus.ACTIVE, "w", due_at, [("a", ""), ("w", "")], [(0, "Hello")])
    over = run(message("a"), step, message("b", "Bye"), who=traveller("w"), now=due_at)
    assert over == Transition(EnrollmentStatus.COMPLETED, "b", visits=[("b", "")], messages=[(0, "Bye")])


def test_a_wait_at_the_end_is_waited_for() -> None:
    begun = run(wait("w"))
    assert (begun.status, begun.due_at) == (EnrollmentStatus.ACTIVE, NOW + timedelta(days=1))
    over = run(wait("w"), who=traveller("w"), now=NOW + timedelta(days=1))
    assert over == Transition(EnrollmentStatus.COMPLETED, "w")


def test_a_wait_goes_on_with_the_step_it_names() -> None:
    found = run(wait("w", next="b"), message("a"), message("b"), who=traveller("w"))
    assert found.visits == [("b", "")]


def test_one_wait_after_the_other_begins_when_that_is_over() -> None:
    later = NOW + timedelta(hours=3)
    found = run(wait("v"), wait("w", 2, "hours"), who=traveller("v"), now=later)
    assert found == Transition(step="w", due_at=later + timedelta(hours=2), visits=[("w", "")])


def test_a_loop_with_a_wait_goes_round_once_a_time() -> None:
    loop = [message("a"), wait("w", next="a")]
    for _ in range(2):
        found = run(*loop, who=traveller("w"))
        assert found.visits == [("a", ""), ("w", "")]
        assert (found.status, found.step) == (EnrollmentStatus.ACTIVE, "w")


def test_a_loop_without_a_wait_fails_instead_of_going_on_for_ever() -> None:
    found = run(set_field("a", "x", "1"), set_field("b", "x", "2", next="a"))
    assert (found.status, found.due_at, len(found.visits)) == (EnrollmentStatus.FAILED, None, 2)


@pytest.mark.parametrize(
    ("fields", "note", "sent"),
    [({"plan": "Gold"}, "yes", "b"), ({"plan": "tin"}, "no", "c"), ({}, "no", "c")],
)
def test_a_condition_goes_one_of_two_ways_and_notes_which(fields: Document, note: str, sent: str) -> None:
    plan = condition("a", "", "c"), message("b", "b", next="end"), message("c", "c")
    found = run(*plan, who=traveller(fields=fields))
    assert found.visits == [("a", note), (sent, "")]
    assert found.messages == [(1, sent)]


@pytest.mark.parametrize(("yes", "no"), [("end", ""), ("", "end")])
def test_a_way_of_a_condition_may_lead_to_the_end(yes: str, no: str) -> None:
    found = run(condition("a", yes, no), message("b"), who=traveller(fields={"plan": "gold"}))
    assert found.visits == ([("a", "yes")] if yes else [("a", "yes"), ("b", "")])
    assert found.status == EnrollmentStatus.COMPLETED


@pytest.mark.parametrize(
    ("test", "person"),
    [
        ({"kind": "list", "operator": "on", "lists": [1]}, Person({}, {1})),
        ({"kind": "happened", "event": "sent", "step": "m"}, Person({}, set(), {("sent", "m")})),
        ({"kind": "happened", "event": "joined", "lists": [2]}, Person({}, set(), None, {2})),
    ],
)
def test_a_condition_still_sees_all_of_a_person_after_a_field_is_set(test: Document, person: Person) -> None:
    step = {"kind": "condition", "id": "c", "test": test}
    found = run(set_field("s", "a", "x"), step, who=traveller(person=person))
    assert found.visits == [("s", ""), ("c", "yes")]
    nobody = run(set_field("s", "a", "x"), step, who=traveller(person=Person({}, set())))
    assert nobody.visits == [("s", ""), ("c", "no")]


def test_a_message_of_this_very_run_has_not_been_sent_yet() -> None:
    step = {"kind": "condition", "id": "c", "test": {"kind": "happened", "event": "sent", "step": "m"}}
    assert run(message("m"), step).visits == [("m", ""), ("c", "no")]


def test_a_field_that_is_set_is_seen_by_later_steps_of_the_same_run() -> None:
    stored = {"plan": "tin", "name": "Jane"}
    found = run(
        condition("before", "end"),
        set_field("s", "plan", "Gold"),
        condition("after", "", "end"),
        message("m", "{{name}}: {{plan}}"),
        who=traveller(fields=stored),
    )
    assert found.visits == [("before", "no"), ("s", ""), ("after", "yes"), ("m", "")]
    assert found.messages == [(3, "Jane: Gold")]
    assert found.fields == {"plan": "Gold"}
    assert stored == {"plan": "tin", "name": "Jane"}


def test_of_a_field_that_is_set_twice_the_last_value_counts() -> None:
    found = run(
        set_field("a", "x", "1"),
        message("m", "{{x}}"),
        set_field("b", "x", "2"),
        set_field("c", "y", ""),
        message("n", "{{x}}{{y|-}}"),
    )
    assert found.fields == {"x": "2", "y": ""}
    assert found.messages == [(1, "1"), (4, "2-")]


@pytest.mark.parametrize(
    ("step", "status"), [(EXIT, EnrollmentStatus.COMPLETED), (LEAVE, EnrollmentStatus.UNSUBSCRIBED)]
)
def test_exit_and_unsubscribe_end_the_journey(step: Document, status: EnrollmentStatus) -> None:
    found = run(message("a"), step, message("b"))
    assert found == Transition(
        status,
        step["id"],
        visits=[("a", ""), (step["id"], "")],
        messages=[(0, "Hello")],
        unsubscribes=status is EnrollmentStatus.UNSUBSCRIBED,
    )


def test_a_message_waits_for_the_quiet_hours_to_end_and_goes_out_then() -> None:
    plan = set_field("s", "a", "x"), message("m", "{{a}}"), message("n", "Bye")
    held = run(*plan, quiet=NIGHT)
    assert held == Transition(step="m", due_at=MORNING, visits=[("s", "")], fields={"a": "x"})
    early = run(*plan, who=traveller("m"), now=MORNING - timedelta(microseconds=1), quiet=NIGHT)
    assert early == Transition(step="m", due_at=MORNING)
    sent = run(*plan, who=traveller("m", fields={"a": "x"}), now=MORNING, quiet=NIGHT)
    assert sent == Transition(
        EnrollmentStatus.COMPLETED, "n", visits=[("m", ""), ("n", "")], messages=[(0, "x"), (1, "Bye")]
    )


def test_only_messages_wait_for_quiet_hours() -> None:
    found = run(set_field("s", "a", "x"), condition("c"), wait("w", 1, "minutes"), message("m"), quiet=NIGHT)
    assert (found.step, found.due_at) == ("w", NOW + timedelta(minutes=1))
    assert run(set_field("s", "a", "x"), condition("c"), LEAVE, quiet=NIGHT).unsubscribes


def test_who_is_on_hold_gets_no_message_and_is_looked_at_again() -> None:
    plan = set_field("s", "a", "x"), message("m"), message("n")
    soon = NOW + timedelta(minutes=15)
    held = run(*plan, who=traveller(on_hold=soon))
    assert held == Transition(step="m", due_at=soon, visits=[("s", "")], fields={"a": "x"})
    assert run(*plan, who=traveller(on_hold=soon), quiet=NIGHT).due_at == soon
    again = run(*plan, who=traveller("m"), now=soon)
    assert [step for step, _ in again.visits] == ["m", "n"]


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (EXIT, EnrollmentStatus.COMPLETED),
        (LEAVE, EnrollmentStatus.UNSUBSCRIBED),
        (wait("w"), EnrollmentStatus.ACTIVE),
    ],
)
def test_a_hold_is_of_messages_only(step: Document, status: EnrollmentStatus) -> None:
    found = run(condition("c"), step, who=traveller(on_hold=NOW + timedelta(minutes=15)))
    assert (found.status, len(found.visits)) == (status, 2)


def test_who_cannot_be_reached_goes_on_without_messages() -> None:
    found = run(message("a"), set_field("s", "x", "1"), message("b"), who=traveller(reachable=False))
    note = "not sent: the number can't receive"
    assert found == Transition(
        EnrollmentStatus.COMPLETED, "b", visits=[("a", note), ("s", ""), ("b", note)], fields={"x": "1"}
    )


def test_an_empty_text_is_not_sent() -> None:
    found = run(message("a", "{{x}}"), message("b", "{{x|-}}"))
    assert found.visits == [("a", "not sent: the text is empty"), ("b", "")]
    assert found.messages == [(1, "-")]


@pytest.mark.parametrize("late", [timedelta(), timedelta(days=1)])
@pytest.mark.parametrize("step", ["", "w", "m"])
def test_who_was_on_it_for_too_long_leaves_it(step: str, late: timedelta) -> None:
    found = run(wait("w"), message("m"), who=traveller(step), now=NOW + MONTH + late)
    assert found == Transition(EnrollmentStatus.EXPIRED, step)


def test_a_moment_before_the_thirty_days_are_over_he_still_goes_on() -> None:
    found = run(wait("w"), message("m"), who=traveller("w"), now=NOW + MONTH - timedelta(microseconds=1))
    assert found.messages == [(0, "Hello")]


@pytest.mark.parametrize("step", [wait("v", 2), until("v", "04:00"), wait("v", 25, "hours")])
def test_a_wait_is_cut_where_the_journey_is_over(step: Document) -> None:
    now = NOW + MONTH - timedelta(hours=1)
    found = run(wait("w"), step, message("m"), who=traveller("w"), now=now)
    assert (found.step, found.due_at, found.visits) == ("v", NOW + MONTH, [("v", "")])


def test_holds_are_cut_where_the_journey_is_over() -> None:
    now = NOW + MONTH - timedelta(minutes=1)
    quiet = run(message("m"), who=traveller("m"), now=now, quiet=NIGHT)
    assert (quiet.due_at, quiet.messages) == (NOW + MONTH, [])
    held = run(message("m"), who=traveller("m", on_hold=now + timedelta(minutes=15)), now=now)
    assert (held.due_at, held.messages) == (NOW + MONTH, [])


def test_a_step_that_is_not_in_the_plan_is_an_error() -> None:
    with pytest.raises(KeyError, match="gone"):
        run(message("a"), who=traveller("gone"))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (message("a", "Hi {{x}}"), "Hi {{x}}"),
        (wait("a", 1, "days"), "1 day"),
        (wait("a", 1, "minutes"), "1 minute"),
        (wait("a", 2, "hours"), "2 hours"),
        (until("a", "09:30"), "09:30, the contact's time"),
        (set_field("a", "stage", "new"), "stage = new"),
        (condition("a"), ""),
        (EXIT, ""),
        (LEAVE, ""),
    ],
)
def test_steps_are_described_for_people(step: Document, words: str) -> None:
    assert describe(read_plan([step]).steps[0]) == words
