"""Enrollments going on: what steps do, when, and that they do it once. The clock is the test's own."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connections

from contacts.models import ListContact
from journeys import opt_out
from journeys.engine import advance as advancing
from journeys.engine import run
from journeys.engine.advance import advance
from journeys.engine.claim import MOST_ATTEMPTS, claim, unclaim
from journeys.models import Enrollment, Journey, OutboundMessage, Visit
from tests.journeys.support import enrolled, history, member, run_until, texts, tick
from tests.support import joins, new_account, new_journey, statements

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 7, 1, 16, tzinfo=UTC)
"""Of a summer's day in New York."""


def at(zone: str, *moment: int) -> datetime:
    return datetime(*moment, tzinfo=ZoneInfo(zone)).astimezone(UTC)  # type: ignore[arg-type,misc]


def message(id_: str = "m", text: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"kind": "message", "id": id_, "text": text, **more}


def wait(id_: str, amount: int, unit: str, **more: Any) -> dict[str, Any]:
    return {"kind": "wait", "id": id_, "amount": amount, "unit": unit, **more}


def traveller(*steps: dict[str, Any], now: datetime = NOON, **fields: Any) -> Enrollment:
    """Somebody who has just been enrolled in a journey of these steps."""
    account, sending_list = new_account()
    new_journey(account, joins(sending_list), *steps)
    [enrollment] = enrolled(member(sending_list, now, **fields), now)
    return enrollment


EVERYTHING: tuple[dict[str, Any], ...] = (
    message("hello", "Hi {{first_name|there}}, welcome to {{brand_name}}!"),
    wait("minutes", 30, "minutes"),
    wait("hours", 5, "hours"),
    message("late", "Late in the evening?"),
    wait("day", 1, "days"),
    {"kind": "wait_until", "id": "morning", "at": "02:30"},
    {"kind": "set_field", "id": "mark", "name": "stage", "value": "warm"},
    {
        "kind": "condition",
        "id": "which",
        "test": {
            "kind": "all",
            "of": [
                {"kind": "field", "name": "stage", "operator": "eq", "values": ["WARM"]},
                {"kind": "field", "name": "plan", "operator": "in", "values": ["gold", "silver"]},
                {"kind": "any", "of": [{"kind": "happened", "event": "sent", "step": "hello"}]},
            ],
        },
        "yes": "thanks",
        "no": "bye",
    },
    message("thanks", "{{plan}} it is"),
    {"kind": "exit", "id": "out"},
    {"kind": "unsubscribe", "id": "bye"},
)


@pytest.mark.parametrize(
    ("zone", "start", "late", "day", "morning"),
    [
        # The clocks go forward in the night to Sunday, 8 March, at 2:00: no 2:30 that day.
        (
            "America/New_York",
            (2026, 3, 6, 18, 0),
            (2026, 3, 7, 8, 0),  # 23:30 is quiet: held until 8:00
            (2026, 3, 8, 8, 0),  # a day is a day of the calendar, 23 hours long
            (2026, 3, 9, 2, 30),
        ),
        (
            "America/New_York",
            (2026, 3, 5, 10, 0),
            (2026, 3, 5, 15, 30),
            (2026, 3, 6, 15, 30),
            (2026, 3, 7, 2, 30),
        ),
        # … and back on 1 November: the day has 25 hours.
        (
            "America/New_York",
            (2026, 10, 31, 9, 0),
            (2026, 10, 31, 14, 30),
            (2026, 11, 1, 14, 30),
            (2026, 11, 2, 2, 30),
        ),
        # London: forward on 29 March at 1:00.
        (
            "Europe/London",
            (2026, 3, 28, 11, 0),
            (2026, 3, 28, 16, 30),
            (2026, 3, 29, 16, 30),
            (2026, 3, 30, 2, 30),
        ),
        (
            "Europe/London",
            (2026, 10, 23, 20, 59),
            (2026, 10, 24, 8, 0),
            (2026, 10, 25, 8, 0),
            (2026, 10, 26, 2, 30),
        ),
        # Phoenix never changes its clocks.
        (
            "America/Phoenix",
            (2026, 3, 7, 9, 0),
            (2026, 3, 7, 14, 30),
            (2026, 3, 8, 14, 30),
            (2026, 3, 9, 2, 30),
        ),
        (
            "America/Phoenix",
            (2026, 10, 31, 18, 0),
            (2026, 11, 1, 8, 0),
            (2026, 11, 2, 8, 0),
            (2026, 11, 3, 2, 30),
        ),
    ],
)
def test_every_kind_of_step_over_changes_of_the_clocks(
    zone: str, start: tuple[int, ...], late: tuple[int, ...], day: tuple[int, ...], morning: tuple[int, ...]
) -> None:
    now = at(zone, *start)
    gold = traveller(*EVERYTHING, now=now, time_zone=zone, first_name="Jane", plan="Gold")
    [nobody] = enrolled(member(gold.list_contact.sending_list, now, time_zone=zone), now)
    tick(now)
    OutboundMessage.objects.update(status="sent", sent_at=now)
    run_until(now + timedelta(days=10))
    half, five = now + timedelta(minutes=30), now + timedelta(hours=5, minutes=30)
    common = [
        ("hello", "", now),
        ("minutes", "", now),
        ("hours", "", half),
        ("late", "", at(zone, *late)),
        ("day", "", at(zone, *late)),
        ("morning", "", at(zone, *day)),
        ("mark", "", at(zone, *morning)),
    ]
    assert at(zone, *late) >= five
    then = at(zone, *morning)
    if then.astimezone(ZoneInfo(zone)).hour < 8:  # the last message is held until the quiet hours are over
        greeted = then.astimezone(ZoneInfo(zone)).replace(hour=8, minute=0).astimezone(UTC)
    assert history(gold) == [*common, ("which", "yes", then), ("thanks", "", greeted), ("out", "", greeted)]
    assert history(nobody) == [*common, ("which", "no", then), ("bye", "", then)]
    brand = gold.list_contact.sending_list.brand_name
    assert [text for text, _ in texts(gold)] == [
        f"Hi Jane, welcome to {brand}!",
        "Late in the evening?",
        "Gold it is",
    ]
    assert texts(nobody)[0][0] == f"Hi there, welcome to {brand}!"
    for enrollment, status in ((gold, "completed"), (nobody, "unsubscribed")):
        enrollment.refresh_from_db()
        assert (enrollment.status, enrollment.claimed_at, enrollment.attempts) == (status, None, 0)
        assert enrollment.list_contact.custom_fields["stage"] == "warm"
    nobody.list_contact.refresh_from_db()
    assert nobody.list_contact.unsubscribed_at is not None


def test_a_time_of_day_that_the_clocks_skip_is_after_the_skip() -> None:
    late = at("America/New_York", 2026, 3, 7, 12)
    someone = traveller({"kind": "wait_until", "id": "w", "at": "02:30"}, now=late)
    run_until(late + timedelta(days=2))
    someone.refresh_from_db()
    assert someone.ended_at == at("America/New_York", 2026, 3, 8, 3, 30)


def test_a_step_is_taken_once_however_often_its_task_arrives() -> None:
    someone = traveller(message(), wait("w", 1, "hours"), message("again"))
    [ids] = claim(NOON)
    assert advance(ids, NOON) == (1, 1)
    assert advance(ids, NOON) == (0, 0)
    assert claim(NOON) == []
    assert [step for step, _, _ in history(someone)] == ["m", "w"]


def test_what_is_not_claimed_or_not_due_does_not_go_on() -> None:
    someone = traveller(message())
    assert advance([someone.pk], NOON) == (0, 0)  # nobody claimed it
    [ids] = claim(NOON)
    assert advance(ids, NOON - timedelta(seconds=1)) == (0, 0)


def test_a_claim_belongs_to_one_until_its_lease_is_over() -> None:
    someone = traveller(message())
    assert claim(NOON) == [[someone.pk]]
    assert claim(NOON + timedelta(seconds=59)) == []
    assert claim(NOON + timedelta(seconds=61)) == [[someone.pk]]


def test_a_claim_whose_task_could_not_be_sent_is_given_back() -> None:
    someone = traveller(message())
    claim(NOON)
    unclaim([someone.pk])
    someone.refresh_from_db()
    assert (someone.claimed_at, someone.attempts) == (None, 0)
    assert claim(NOON) == [[someone.pk]]


def test_sets_grow_smaller_with_each_attempt(settings: Any) -> None:
    settings.TRACKLY_ADVANCE_SIZE = 5
    account, sending_list = new_account()
    new_journey(account, joins(sending_list), message())
    ids = [enrolled(member(sending_list, NOON), NOON)[0].pk for _ in range(7)]
    first, second = claim(NOON)
    assert (len(first), len(second)) == (5, 2)
    assert claim(NOON + timedelta(minutes=2)) == [first, second]  # nobody has begun them
    advancing.begin(first, NOON)
    again = claim(NOON + timedelta(minutes=4))
    assert again == [*([one] for one in first), second]
    assert sorted(one for some in again for one in some) == ids


def test_who_kills_every_worker_is_given_up_and_nobody_else() -> None:
    account, sending_list = new_account()
    new_journey(account, joins(sending_list), message())
    poison, *others = (enrolled(member(sending_list, NOON), NOON)[0] for _ in range(20))
    now, killed = NOON, 0
    while sets := claim(now):
        for ids in sets:
            poison.refresh_from_db()
            if poison.pk in ids and poison.attempts < MOST_ATTEMPTS:
                advancing.begin(ids, now)  # and the worker dies
                killed += 1
            else:
                advance(ids, now)
        now += timedelta(minutes=2)
    assert killed == MOST_ATTEMPTS
    poison.refresh_from_db()
    assert poison.status == "failed"
    for enrollment in others:
        enrollment.refresh_from_db()
        assert enrollment.status == "completed"
    assert Visit.objects.count() == len(others)


def test_one_that_raises_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    account, sending_list = new_account()
    new_journey(account, joins(sending_list), message())
    bad, good = (enrolled(member(sending_list, NOON, bad=bad), NOON)[0] for bad in (True, False))
    step_until_blocked = run.step_until_blocked

    def breaks(plan: Any, someone: Any, *more: Any) -> Any:
        if someone.person.fields["bad"]:
            raise RuntimeError("broken")
        return step_until_blocked(plan, someone, *more)

    monkeypatch.setattr(advancing, "step_until_blocked", breaks)
    [ids] = claim(NOON)
    assert advance(ids, NOON) == (1, 1)
    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.status, bad.status, bad.attempts) == ("completed", "active", 1)
    monkeypatch.setattr(advancing, "step_until_blocked", step_until_blocked)
    later = NOON + timedelta(minutes=2)
    assert tick(later) == 1  # by itself, once the claim has grown old
    bad.refresh_from_db()
    assert bad.status == "completed"


def test_an_edited_journey_goes_on_as_it_was_for_who_is_on_it() -> None:
    someone = traveller(wait("w", 1, "hours"), message("old", "old"))
    tick(NOON)
    journey = someone.journey
    journey.publish([message("new", "new")])
    [newer] = enrolled(member(someone.list_contact.sending_list, NOON), NOON)
    run_until(NOON + timedelta(days=1))
    assert ([text for text, _ in texts(someone)], [text for text, _ in texts(newer)]) == (["old"], ["new"])
    assert [version.number for version in journey.versions.order_by("number")] == [1, 2]


def test_publishing_the_same_steps_makes_no_version() -> None:
    journey = traveller(message()).journey
    journey.publish([message()])
    assert journey.versions.count() == 1


def test_who_unsubscribes_leaves_at_once_and_gets_nothing_more() -> None:
    someone = traveller(message(), wait("w", 1, "hours"), message("again"))
    tick(NOON)
    member_ = someone.list_contact
    account = member_.sending_list.account
    assert opt_out.unsubscribe(account, member_.contact.phone_number, member_.sending_list.phone_number)
    someone.refresh_from_db()
    assert someone.status == "unsubscribed"
    run_until(NOON + timedelta(days=1))
    assert len(texts(someone)) == 1


def test_an_opt_out_that_nobody_told_the_journey_of_counts_too() -> None:
    someone = traveller(message())
    ListContact.objects.update(unsubscribed_at=NOON)
    tick(NOON)
    someone.refresh_from_db()
    assert (someone.status, texts(someone)) == ("unsubscribed", [])


def test_unsubscribing_in_one_journey_ends_the_others() -> None:
    account, sending_list = new_account()
    new_journey(account, joins(sending_list), {"kind": "unsubscribe", "id": "u"})
    new_journey(account, joins(sending_list), wait("w", 1, "hours"), message())
    both = enrolled(member(sending_list, NOON), NOON)
    run_until(NOON + timedelta(days=1))
    for enrollment in both:
        enrollment.refresh_from_db()
        assert enrollment.status == "unsubscribed"
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize(
    ("status", "ends"), [("paused", "completed"), ("draft", "completed"), ("archived", "stopped")]
)
def test_who_is_on_a_journey_goes_on_unless_it_is_archived(status: str, ends: str) -> None:
    someone = traveller(wait("w", 1, "hours"), message())
    tick(NOON)
    Journey.objects.update(status=status)
    run_until(NOON + timedelta(days=1))
    someone.refresh_from_db()
    assert someone.status == ends


def test_nobody_is_on_a_journey_for_longer_than_it_may_take() -> None:
    loop = (wait("w", 20, "days"), message("m", next="w"))
    someone = traveller(*loop)
    run_until(NOON + timedelta(days=100))
    someone.refresh_from_db()
    assert (someone.status, someone.ended_at) == ("expired", NOON + timedelta(days=31))
    assert [step for step, _, _ in history(someone)] == ["w", "m", "w"]


def test_a_paused_list_and_a_suspended_account_hold_messages() -> None:
    someone = traveller(message())
    sending_list = someone.list_contact.sending_list
    sending_list.status = "paused"
    sending_list.save()
    tick(NOON)
    assert texts(someone) == []
    sending_list.status, sending_list.account.suspended_at = "active", NOON
    sending_list.save()
    sending_list.account.save()
    tick(NOON + timedelta(minutes=20))
    assert texts(someone) == []
    sending_list.account.suspended_at = None
    sending_list.account.save()
    run_until(NOON + timedelta(hours=1))
    assert len(texts(someone)) == 1


def test_two_journeys_that_set_fields_at_once_both_do() -> None:
    account, sending_list = new_account()
    for name in ("a", "b"):
        new_journey(
            account, joins(sending_list), {"kind": "set_field", "id": "s", "name": name, "value": name}
        )
    joined = member(sending_list, NOON, kept=1)
    enrolled(joined, NOON)
    tick(NOON)
    joined.refresh_from_db()
    assert joined.custom_fields == {"kept": 1, "a": "a", "b": "b"}


def test_what_happened_since_the_enrollment_decides() -> None:
    account, sending_list = new_account()
    _, other = new_account()
    other.account, other.phone_number = account, "+18005550002"
    other.save()
    joined = {"kind": "happened", "event": "joined", "lists": [other.pk]}
    steps = (
        wait("w", 1, "hours"),
        {"kind": "condition", "id": "c", "test": {"kind": "all", "of": [joined]}, "yes": "", "no": "end"},
        message("m", "You joined"),
    )
    new_journey(account, joins(sending_list), *steps)
    before, after, never = (member(sending_list, NOON) for _ in range(3))
    member(other, NOON - timedelta(days=1), phone_number=before.contact.phone_number)
    found = [enrolled(one, NOON)[0] for one in (before, after, never)]
    member(other, NOON + timedelta(minutes=5), phone_number=after.contact.phone_number)
    run_until(NOON + timedelta(days=1))
    assert [len(texts(one)) for one in found] == [0, 1, 0]


def test_the_number_of_statements_does_not_depend_on_the_sets_size(settings: Any) -> None:
    settings.TRACKLY_ADVANCE_SIZE = 1_000
    account, sending_list = new_account()
    asks = {"kind": "all", "of": [{"kind": "happened", "event": "sent"}, joins(sending_list)]}
    branch = {"kind": "condition", "id": "c", "test": asks}
    new_journey(account, joins(sending_list), message(), branch, message("n"), wait("w", 1, "hours"))

    def sent_for(count: int) -> int:
        for _ in range(count):
            enrolled(member(sending_list, NOON), NOON)
        [ids] = claim(NOON)
        with statements() as sent:
            assert advance(ids, NOON) == (count, 2 * count)
        return len(sent)

    sent_for(1)  # the plan is read once
    assert sent_for(3) == sent_for(60)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_advance_nobody_twice(settings: Any) -> None:
    settings.TRACKLY_ADVANCE_SIZE = 7
    account, sending_list = new_account()
    new_journey(account, joins(sending_list), message(), wait("w", 1, "hours"))
    everybody = {enrolled(member(sending_list, NOON), NOON)[0].pk for _ in range(60)}
    sets: list[list[int]] = []
    moved = []

    def work() -> None:
        try:
            mine = claim(NOON, most=20)
            sets.extend(mine)
            # Others' too: messages arrive twice.
            moved.extend([advance(ids, NOON)[0] for ids in [*mine, *sets]])
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one for ids in sets for one in ids) == sorted(everybody)  # claimed once each
    assert sum(moved) == len(everybody)
    assert OutboundMessage.objects.count() == len(everybody)
