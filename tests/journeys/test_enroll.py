"""Whom a journey greets: triggers against the memberships of a slice."""

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import Account
from contacts.models import ListContact, SendingList
from journeys.enroll import enroll, greetings
from journeys.models import Enrollment, Journey
from tests.journeys.support import member, newcomer
from tests.support import joins, new_account, new_journey, statements

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 7, 1, tzinfo=UTC)


def field(name: str, operator: str, *values: str) -> dict[str, Any]:
    return {"kind": "field", "name": name, "operator": operator, "values": list(values)}


def on(*lists: SendingList, operator: str = "on") -> dict[str, Any]:
    return {"kind": "list", "operator": operator, "lists": [made.pk for made in lists]}


def all_of(*tests: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "all", "of": list(tests)}


def any_of(*tests: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "any", "of": list(tests)}


def fields_of(plan: Any) -> dict[str, Any]:
    return {} if plan is None else {"plan": plan}


def second_list(account: Account) -> SendingList:
    return SendingList.objects.create(account=account, phone_number="+18005550002")


def greeted(*joined: ListContact) -> set[int]:
    """Which of these are enrolled in something now that were not before."""
    return {list_contact for _, list_contact in enroll([newcomer(one) for one in joined])}


@pytest.mark.parametrize(
    ("trigger", "plans"),
    [
        (all_of(field("plan", "eq", "Gold")), {"gold", "GOLD"}),
        (all_of(field("plan", "ne", "gold")), {"silver", 5, None}),
        (all_of(field("plan", "in", "5", "silver")), {"silver", 5}),
        (all_of(field("plan", "not_in", "gold", "silver")), {5, None}),
        (all_of(field("plan", "exists")), {"gold", "GOLD", "silver", 5}),
        (all_of(field("plan", "contains", "OL")), {"gold", "GOLD"}),
        (
            any_of(field("plan", "eq", "5"), all_of(field("plan", "contains", "o"), field("vip", "exists"))),
            {5},
        ),
    ],
)
def test_custom_fields_decide(trigger: dict[str, Any], plans: set[Any]) -> None:
    account, sending_list = new_account()
    new_journey(account, trigger)
    who = {plan: member(sending_list, NOW, **fields_of(plan)) for plan in ("gold", "GOLD", "silver", 5, None)}
    assert greeted(*who.values()) == {who[plan].pk for plan in plans}


def test_a_journey_greets_who_joins_a_list_that_it_asks_for() -> None:
    account, first = new_account()
    second = second_list(account)
    new_journey(account, any_of(on(first), field("plan", "eq", "gold")))
    there = member(second, NOW, plan="gold")  # he has joined another list
    assert greeted(there, here := member(first, NOW)) == {here.pk}


def test_without_a_list_in_its_trigger_it_greets_on_every_list() -> None:
    account, first = new_account()
    second = second_list(account)
    new_journey(account, all_of(field("plan", "exists")))
    both = [member(first, NOW, plan="x"), member(second, NOW, plan="x")]
    assert greeted(*both) == {one.pk for one in both}


def test_other_lists_that_a_contact_is_on_count() -> None:
    account, first = new_account()
    second = second_list(account)
    new_journey(account, all_of(on(first), on(second)))
    one, two, gone = (member(first, NOW) for _ in range(3))
    member(second, NOW, phone_number=two.contact.phone_number)
    member(second, NOW, phone_number=gone.contact.phone_number)
    ListContact.objects.filter(contact=gone.contact, sending_list=second).update(unsubscribed_at=NOW)
    assert greeted(one, two, gone) == {two.pk}


def test_not_on_a_list() -> None:
    account, first = new_account()
    second = second_list(account)
    new_journey(account, all_of(on(first), on(second, operator="not_on")))
    one, two = member(first, NOW), member(first, NOW)
    member(second, NOW, phone_number=two.contact.phone_number)
    assert greeted(one, two) == {one.pk}


def test_nobody_is_enrolled_twice_in_a_journey() -> None:
    account, sending_list = new_account()
    new_journey(account, joins(sending_list))
    joined = member(sending_list, NOW)
    assert greeted(joined) == {joined.pk}
    Enrollment.objects.update(status="completed", ended_at=NOW)
    assert greeted(joined) == set()


def test_a_trigger_that_nobody_can_read_stops_no_batch() -> None:
    account, sending_list = new_account()
    new_journey(account, {"kind": "nonsense"})
    new_journey(account, joins(sending_list), name="good")
    joined = member(sending_list, NOW)
    assert greeted(joined) == {joined.pk}


@pytest.mark.parametrize("trigger", [None, all_of(), any_of()])
def test_a_trigger_without_conditions_greets_nobody(trigger: dict[str, Any] | None) -> None:
    account, sending_list = new_account()
    new_journey(account, trigger)
    assert greeted(member(sending_list, NOW)) == set()


def test_an_enrollment_begins_with_the_steps_of_now() -> None:
    account, sending_list = new_account()
    journey = new_journey(account, joins(sending_list), {"kind": "exit", "id": "a"})
    greeted(member(sending_list, NOW))
    Journey.objects.get(pk=journey.pk).publish([{"kind": "exit", "id": "b"}])
    greeted(member(sending_list, NOW))
    assert list(Enrollment.objects.order_by("id").values_list("version__number", flat=True)) == [1, 2]


def test_which_journeys_a_list_begins() -> None:
    account, first = new_account()
    second = second_list(account)
    new_journey(account, joins(first), name="first")
    new_journey(account, all_of(field("plan", "exists")), name="any")
    names = {made: [found.name for found in of] for made, of in greetings([first.pk, second.pk]).items()}
    assert names == {first.pk: ["first", "any"], second.pk: ["any"]}


@pytest.mark.parametrize("count", [1, 40])
def test_matching_takes_three_statements(count: int) -> None:
    account, first = new_account()
    second = second_list(account)
    for _ in range(10):
        new_journey(account, all_of(on(first), any_of(on(second, operator="not_on"), field("x", "exists"))))
    joined = [newcomer(member(first, NOW)) for _ in range(count)]
    with statements() as sent:
        assert len(enroll(joined)) == 10 * count
    assert len(sent) == 3
