"""Messages leave the outbox once each, whatever the gateway answers and whoever dies."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from accounts.models import Account
from contacts.models import Contact, ListContact, SendingList
from core import sql
from core.outbound import Caller, Failure, OutboundError, Permit, RateLimitTimeout
from core.outbound.breaker import Breaker, CircuitOpen
from core.outbound.calling import caller, forget
from devstack.home import free_port
from devstack.sandbox.faults import KINDS
from devstack.sandbox.server import Stub
from journeys import clock, tasks
from journeys.messages import outbox
from journeys.messages.gateways import Outgoing
from journeys.models import Enrollment, Journey, MessageStatus, OutboundMessage
from tests.support import joins, new_account, new_journey, new_number

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 15, 16, tzinfo=UTC)
"""Noon in New York."""
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
UNSETTLED = [MessageStatus.QUEUED, MessageStatus.SENDING, MessageStatus.UNCONFIRMED]


class World:
    """An account with one list and one journey; the time that it is."""

    def __init__(self, stub: Stub) -> None:
        self.stub, self.now = stub, NOW
        self.account, self.list = new_account()
        self.journey = self.journey_of(self.list)
        stub.messages.clock = lambda: self.now

    def journey_of(self, on: SendingList) -> Journey:
        with transaction.atomic():
            return new_journey(self.account, joins(on), {"kind": "message", "id": "hello", "text": "Hello"})

    def member(self, number: str = "", *, on: SendingList | None = None, time_zone: str = "") -> ListContact:
        contact, _ = Contact.objects.get_or_create(
            phone_number=number or new_number(), defaults={"time_zone": time_zone}
        )
        return ListContact.objects.create(sending_list=on or self.list, contact=contact, signup_date=NOW)

    def message(
        self,
        member: ListContact | None = None,
        text: str = "Hello",
        *,
        journey: Journey | None = None,
        **fields: Any,
    ) -> OutboundMessage:
        """A message that is due, to somebody new unless `member` is given."""
        member, journey = member or self.member(), journey or self.journey
        assert journey.version
        enrollment, _ = Enrollment.objects.get_or_create(
            journey=journey, list_contact=member, defaults={"version": journey.version}
        )
        given = {"due_at": self.now, "created_at": self.now, "segments": 1, "encoding": "GSM-7", **fields}
        return OutboundMessage.objects.create(
            enrollment=enrollment,
            number=enrollment.messages.count() + 1,
            step="hello",
            list_contact=member,
            text=text,
            **given,
        )

    def taken(self, message: OutboundMessage) -> list[str]:
        """The gateway's ids of what it has for the message's number, of its text."""
        number = message.list_contact.contact.phone_number
        return [
            taken["sid"]
            for taken in self.stub.messages.taken
            if (taken["to"], taken["body"]) == (number, message.text)
        ]

    def take(self, message: OutboundMessage) -> str:
        """The gateway has the message, which nobody knows here; its id."""
        number = message.list_contact.contact.phone_number
        form = {"To": number, "From": self.list.phone_number, "Body": message.text}
        return str(self.stub.messages.post("sandbox", form)[1]["sid"])

    def set_free(self) -> None:
        """Nothing goes wrong any more, and nobody remembers that it did."""
        self.stub.faults.shares, self.stub.faults.dead = {}, False


@pytest.fixture
def world(stub: Stub, settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """By Twilio, at any hour; in a set of messages no time passes but what a test lets pass."""
    settings.TRACKLY_MESSAGES, settings.TRACKLY_QUIET_HOURS = "twilio", ()
    settings.TRACKLY_BREAKER_THRESHOLD, settings.TRACKLY_BREAKER_PAUSE = 1000, 0
    made = World(stub)
    monkeypatch.setattr(outbox, "_database_clock", lambda: made.now)
    return made


def status(message: OutboundMessage) -> str:
    message.refresh_from_db()
    return message.status


def test_what_is_due_is_sent_once_and_has_the_gateways_id(world: World) -> None:
    message = world.message()
    assert outbox.is_due(NOW)
    assert [outbox.send(NOW), outbox.send(NOW + MINUTE)] == [1, 0]
    assert status(message) == MessageStatus.SENT
    assert [message.gateway_id] == world.taken(message)
    assert (message.gateway, message.attempts, message.error) == ("twilio", 1, "")
    assert (message.claimed_at, message.sent_at) == (NOW, NOW)
    assert not outbox.is_due(NOW)


def test_what_is_not_due_stays(world: World) -> None:
    message = world.message(due_at=NOW + SECOND)
    assert outbox.send(NOW) == 0
    assert (status(message), message.due_at) == (MessageStatus.QUEUED, NOW + SECOND)
    assert outbox.send(NOW + SECOND) == 1
    assert status(message) == MessageStatus.SENT


def test_in_quiet_hours_a_message_waits_for_its_contacts_morning(world: World, settings: Any) -> None:
    settings.TRACKLY_QUIET_HOURS = (time(21), time(8))
    early = NOW.replace(hour=14)
    asleep = world.message(world.member(time_zone="America/Los_Angeles"), due_at=early)
    awake = world.message(world.member("+12125550123", time_zone="America/New_York"), due_at=early)
    assert outbox.send(early) == 2
    assert (status(asleep), asleep.due_at, asleep.attempts) == (
        MessageStatus.QUEUED,
        NOW.replace(hour=15),
        0,
    )
    assert status(awake) == MessageStatus.SENT
    assert world.taken(asleep) == []
    assert outbox.send(NOW.replace(hour=15)) == 1
    assert status(asleep) == MessageStatus.SENT


def paused(world: World) -> None:
    SendingList.objects.filter(pk=world.list.pk).update(status="paused")


def suspended(world: World) -> None:
    Account.objects.filter(pk=world.account.pk).update(suspended_at=NOW)


@pytest.mark.parametrize("hold", [paused, suspended])
def test_a_list_or_an_account_on_hold_sends_nothing_until_it_is_free(
    world: World, hold: Callable[[World], None]
) -> None:
    message = world.message()
    hold(world)
    assert outbox.send(NOW) == 1
    assert (status(message), message.due_at, message.attempts) == (
        MessageStatus.QUEUED,
        NOW + clock.HOLD,
        0,
    )
    SendingList.objects.update(status="active")
    Account.objects.update(suspended_at=None)
    assert outbox.send(NOW + clock.HOLD) == 1
    assert len(world.taken(message)) == 1


@pytest.mark.parametrize("attempts", [0, 3])
def test_of_a_deleted_list_nothing_is_sent_any_more(world: World, attempts: int) -> None:
    elsewhere = SendingList.objects.create(account=world.account, phone_number="+18005559999")
    message, other = world.message(attempts=attempts), world.message(world.member(on=elsewhere))
    SendingList.objects.filter(pk=world.list.pk).update(status="deleted")
    assert outbox.send(NOW) == 2
    assert (status(message), message.error) == (MessageStatus.CANCELLED, "The list was deleted.")
    assert (message.attempts, status(other)) == (attempts, MessageStatus.SENT)
    SendingList.objects.update(status="active")
    assert outbox.send(NOW + timedelta(days=1)) == 0
    assert world.taken(message) == []


@pytest.mark.parametrize("on_hold", [False, True])
def test_who_opted_out_meanwhile_gets_nothing(world: World, *, on_hold: bool) -> None:
    message = world.message()
    ListContact.objects.update(unsubscribed_at=NOW)
    if on_hold:
        paused(world)
    assert outbox.send(NOW) == 1
    assert (status(message), message.error) == (MessageStatus.CANCELLED, "The contact opted out.")
    assert world.stub.messages.taken == []


def test_who_opted_out_with_the_gateway_is_opted_out_here(world: World) -> None:
    member, bystander = world.member("+15005550004"), world.member()
    other = SendingList.objects.create(account=world.account, phone_number="+18005559999")
    elsewhere = world.member("+15005550004", on=other)
    again = world.journey_of(world.list)
    messages = [world.message(member), world.message(bystander)]
    later = world.message(member, journey=again, due_at=NOW + MINUTE)
    outbox.send(NOW)
    assert [status(message) for message in messages] == [MessageStatus.FAILED, MessageStatus.SENT]
    assert "21610" in messages[0].error
    found = dict(ListContact.objects.values_list("pk", "unsubscribed_at"))
    assert found[member.pk] is not None
    assert (found[bystander.pk], found[elsewhere.pk]) == (None, None)
    assert dict(Enrollment.objects.values_list("list_contact", "status")) == {
        member.pk: "unsubscribed",
        bystander.pk: "active",
    }
    assert Enrollment.objects.filter(list_contact=member, status="unsubscribed").count() == 2
    outbox.send(NOW + MINUTE)
    assert status(later) == MessageStatus.CANCELLED
    assert world.stub.asked("messages", "+15005550004") == 1


def test_an_opt_out_is_stored_with_the_outcome_that_tells_of_it_or_not_at_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = world.member("+15005550004")
    message = world.message(member)

    def dies(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("journeys.opt_out.leave", dies)
        with pytest.raises(ZeroDivisionError):
            outbox.send(NOW)
    assert status(message) == MessageStatus.SENDING
    member.refresh_from_db()
    assert member.unsubscribed_at is None


@pytest.mark.parametrize(("number", "code"), [("+15005550001", "21211"), ("+15005550009", "21614")])
def test_a_number_that_can_not_be_texted_fails_with_the_reason(world: World, number: str, code: str) -> None:
    message = world.message(world.member(number))
    outbox.send(NOW)
    assert (status(message), message.sent_at) == (MessageStatus.FAILED, None)
    assert code in message.error
    assert ListContact.objects.get().unsubscribed_at is None
    assert outbox.send(NOW + timedelta(hours=1)) == 0
    assert world.stub.asked("messages", number) == 1


def test_where_nobody_listens_a_message_is_tried_for_a_day(world: World, settings: Any) -> None:
    settings.TWILIO_MESSAGES_URL, settings.TRACKLY_LOOKUP_TRIES = f"http://127.0.0.1:{free_port()}", 1
    message, pauses = world.message(), []
    while status(message) == MessageStatus.QUEUED:
        world.now = message.due_at
        assert outbox.send(world.now) == 1
        if status(message) == MessageStatus.QUEUED:
            assert "no answer" in message.error
            pauses.append((message.due_at - world.now).total_seconds())
    assert pauses[:7] == [30, 60, 120, 240, 480, 900, 900]
    assert set(pauses[7:]) == {900}
    assert (message.status, message.attempts) == (MessageStatus.FAILED, len(pauses))
    assert len(pauses) == outbox.MOST_ATTEMPTS
    assert NOW + timedelta(days=1) < world.now <= NOW + timedelta(days=1, minutes=15)
    assert message.error == "It was tried for a day in vain."


def test_a_gateway_that_is_back_gets_what_waited(world: World, settings: Any) -> None:
    back, settings.TWILIO_MESSAGES_URL = settings.TWILIO_MESSAGES_URL, f"http://127.0.0.1:{free_port()}"
    message = world.message()
    outbox.send(NOW)
    assert (status(message), message.due_at) == (MessageStatus.QUEUED, NOW + 30 * SECOND)
    settings.TWILIO_MESSAGES_URL = back
    outbox.send(NOW + 30 * SECOND)
    assert (status(message), message.attempts, message.error) == (MessageStatus.SENT, 2, "")
    assert len(world.taken(message)) == 1


def test_who_is_asked_to_wait_for_long_comes_again(world: World) -> None:
    world.stub.faults.shares, world.stub.faults.retry_after = {"429": 1.0}, 3600
    message = world.message()
    outbox.send(NOW)
    assert (status(message), message.due_at) == (MessageStatus.QUEUED, NOW + 30 * SECOND)
    world.set_free()
    outbox.send(NOW + MINUTE)
    assert world.taken(message) == [OutboundMessage.objects.get().gateway_id]


def circuit() -> Breaker:
    """What this process has found out about the gateway."""

    async def found() -> Breaker:
        return caller()._service("twilio_messages")[0]

    return caller().submit(found()).result()


REFUSED_SENDERS = [("+15005550007", "21606"), ("+15005550008", "21611")]


@pytest.mark.parametrize(("number", "code"), REFUSED_SENDERS)
def test_a_sender_that_is_refused_waits_for_somebody_who_mends_that(
    world: World, number: str, code: str
) -> None:
    SendingList.objects.filter(pk=world.list.pk).update(phone_number=number)
    message, world.now = world.message(), NOW
    for attempt, pause in enumerate([30, 60, 120, 240, 480, 900, 900], 1):
        assert outbox.send(world.now) == 1
        assert (status(message), message.attempts) == (MessageStatus.QUEUED, attempt)
        assert (message.due_at - world.now).total_seconds() == pause
        assert code in message.error
        world.now = message.due_at
    assert world.stub.asked("messages", message.list_contact.contact.phone_number) == 7
    SendingList.objects.filter(pk=world.list.pk).update(phone_number="+18005551234")
    outbox.send(world.now)
    assert (status(message), message.error) == (MessageStatus.SENT, "")
    assert len(world.taken(message)) == 1


@pytest.mark.parametrize(("number", "code"), REFUSED_SENDERS)
def test_a_sender_that_is_refused_holds_up_no_other(
    world: World, settings: Any, number: str, code: str
) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD, settings.TRACKLY_BREAKER_PAUSE = 10, 600
    other = SendingList.objects.create(account=world.account, phone_number=number)
    refused = [world.message(world.member(on=other), due_at=NOW - MINUTE) for _ in range(40)]
    good = [world.message() for _ in range(20)]
    assert outbox.send(NOW) == 60
    assert Counter(map(status, good)) == {MessageStatus.SENT: 20}
    assert all(len(world.taken(message)) == 1 for message in good)
    assert {(status(one), one.attempts, one.due_at) for one in refused} == {
        (MessageStatus.QUEUED, 1, NOW + 30 * SECOND)
    }
    assert all(code in message.error for message in refused)
    assert {world.stub.asked("messages", one.list_contact.contact.phone_number) for one in refused} == {1}
    assert not circuit().is_open


@pytest.mark.parametrize("error", [RateLimitTimeout(), CircuitOpen("twilio_messages")])
def test_a_message_that_nobody_was_asked_to_take_comes_again_soon_and_was_not_tried(
    world: World, slow: "Slow", error: OutboundError
) -> None:
    message, slow.error = world.message(), error
    slow.gate.set()
    for round_ in range(5):
        world.now = NOW + 5 * round_ * SECOND
        assert outbox.send(world.now) == 0  # nobody was asked
        assert (status(message), message.attempts) == (MessageStatus.QUEUED, 0)
        assert (message.due_at, message.error) == (world.now + 5 * SECOND, str(error))
    assert outbox.send(world.now) == 0
    slow.error = None
    assert outbox.send(message.due_at) == 1
    assert (status(message), message.attempts, message.error) == (MessageStatus.SENT, 1, "")


def test_pauses_grow_by_the_times_that_the_gateway_was_asked(world: World, slow: "Slow") -> None:
    message, world.now = world.message(), NOW
    slow.gate.set()
    not_now, no_turn = OutboundError("not now", Failure.DEFERRED), RateLimitTimeout()
    pauses = []
    for slow.error in (not_now, no_turn, no_turn, not_now, no_turn, not_now):
        outbox.send(world.now)
        assert status(message) == MessageStatus.QUEUED
        pauses.append((message.due_at - world.now).total_seconds())
        world.now = message.due_at
    assert pauses == [30, 5, 5, 60, 5, 120]
    assert message.attempts == 3


def test_while_the_gateway_is_left_alone_messages_are_not_tried(world: World, settings: Any) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD, settings.TRACKLY_BREAKER_PAUSE = 1, 600
    world.stub.faults.dead = True
    first = world.message()
    outbox.send(NOW)
    assert (status(first), circuit().is_open) == (MessageStatus.UNCONFIRMED, True)
    second = world.message()
    outbox.send(NOW)
    assert (status(second), second.attempts, second.due_at) == (MessageStatus.QUEUED, 0, NOW + 5 * SECOND)
    assert world.stub.asked("messages", second.list_contact.contact.phone_number) == 0


@pytest.mark.parametrize(
    ("by", "most"),
    [
        (("twilio", 0.0), 100),
        (("twilio", 0.1), 1),
        (("twilio", 1.0), 2),
        (("twilio", 7.5), 15),
        (("twilio", 50.0), 100),
        (("twilio", 500.0), 100),
        (("log", 1.0), 100),
    ],
)
def test_a_set_is_what_the_gateways_rate_lets_through_soon(
    world: World, slow: "Slow", settings: Any, by: tuple[str, float], most: int
) -> None:
    settings.TRACKLY_MESSAGES, rate = by
    settings.TRACKLY_RATES = {**settings.TRACKLY_RATES, "twilio_messages": rate}
    member = world.member()
    for _ in range(102):
        world.message(member)
    slow.gate.set()
    assert outbox.send(NOW) == most
    assert OutboundMessage.objects.filter(status=MessageStatus.SENT).count() == most


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", ["timeout", "half", "nonsense"])
def test_what_the_gateway_took_without_a_word_is_found_and_not_sent_again(world: World, fault: str) -> None:
    world.stub.faults.shares = {fault: 1.0}
    message = world.message()
    outbox.send(NOW)
    assert (status(message), message.gateway_id) == (MessageStatus.UNCONFIRMED, "")
    world.set_free()
    assert outbox.send(NOW + MINUTE) == 0
    assert outbox.confirm(NOW + outbox.settled()) == 0
    assert status(message) == MessageStatus.UNCONFIRMED
    assert outbox.confirm(NOW + outbox.settled() + SECOND) == 1
    assert (status(message), message.error) == (MessageStatus.SENT, "")
    assert world.taken(message) == [message.gateway_id]
    assert message.sent_at == NOW + outbox.settled() + SECOND


@pytest.mark.parametrize("fault", ["500", "dead"])
def test_what_the_gateway_never_got_is_sent_after_all(world: World, fault: str) -> None:
    world.stub.faults.shares = {"500": 1.0}
    world.stub.faults.dead = fault == "dead"
    message = world.message()
    outbox.send(NOW)
    assert status(message) == MessageStatus.UNCONFIRMED
    later = NOW + outbox.settled() + SECOND
    assert outbox.confirm(later) == 0  # the list is not answered either: nobody knows
    assert (status(message), message.due_at) == (MessageStatus.UNCONFIRMED, later + 5 * MINUTE)
    world.set_free()
    assert outbox.confirm(later + 5 * MINUTE - SECOND) == 0
    later += 5 * MINUTE
    assert outbox.confirm(later) == 1
    assert (status(message), message.due_at) == (MessageStatus.QUEUED, later)
    assert world.taken(message) == []
    outbox.send(later)
    assert (status(message), message.attempts) == (MessageStatus.SENT, 2)
    assert world.taken(message) == [message.gateway_id]


@pytest.mark.parametrize("arrived", [True, False])
def test_a_worker_that_died_while_sending_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch, *, arrived: bool
) -> None:
    message = world.message()

    def dies(*_: Any) -> None:
        if arrived:
            world.take(message)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_hand_over", dies)
        with pytest.raises(SystemExit):
            outbox.send(NOW)
    assert (status(message), message.claimed_at) == (MessageStatus.SENDING, NOW)
    outbox.look_after(NOW + outbox.silent())
    assert outbox.send(NOW + outbox.silent()) == 0
    assert status(message) == MessageStatus.SENDING
    outbox.look_after(NOW + outbox.silent() + SECOND)
    assert (status(message), message.error) == (
        MessageStatus.UNCONFIRMED,
        "The worker that sent it was lost.",
    )
    world.now = NOW + outbox.settled() + SECOND
    assert list(outbox.unconfirmed(world.now)) == [message]
    assert outbox.confirm(world.now) == 1
    assert status(message) == (MessageStatus.SENT if arrived else MessageStatus.QUEUED)
    outbox.send(world.now)
    assert status(message) == MessageStatus.SENT
    assert world.taken(message) == [message.gateway_id]


@pytest.mark.parametrize("newer_arrived", [True, False])
def test_of_two_messages_of_one_text_to_one_number_each_gets_its_own(
    world: World, *, newer_arrived: bool
) -> None:
    member, again = world.member(), world.journey_of(world.list)
    messages = [world.message(member), world.message(member, journey=again)]
    taken = world.take(messages[newer_arrived])
    for message in messages:
        OutboundMessage.objects.filter(pk=message.pk).update(
            status="unconfirmed", claimed_at=NOW, gateway="twilio", attempts=1
        )
    world.now = NOW + outbox.settled() + SECOND
    assert outbox.confirm(world.now) == 2
    assert sorted(map(status, messages)) == [MessageStatus.QUEUED, MessageStatus.SENT]
    outbox.send(world.now)
    assert list(map(status, messages)) == [MessageStatus.SENT] * 2
    assert {message.gateway_id for message in messages} == set(world.taken(messages[0]))
    assert taken in world.taken(messages[0])
    assert len(world.taken(messages[0])) == 2


def test_a_message_that_another_row_has_is_not_found_twice(world: World) -> None:
    member = world.member()
    sent, doubtful = world.message(member), world.message(member, due_at=NOW + MINUTE)
    outbox.send(NOW)
    OutboundMessage.objects.filter(pk=doubtful.pk).update(
        status="unconfirmed", claimed_at=NOW, gateway="twilio"
    )
    assert outbox.confirm(NOW + outbox.settled() + SECOND) == 1
    assert (status(sent), status(doubtful)) == (MessageStatus.SENT, MessageStatus.QUEUED)


def test_of_two_candidates_the_older_is_taken_as_the_newer_may_be_on_its_way_to_another(world: World) -> None:
    member = world.member()
    doubtful = world.message(member, status="unconfirmed", claimed_at=NOW, gateway="twilio")
    older = world.take(doubtful)
    world.now += MINUTE
    world.take(doubtful)
    assert outbox.confirm(NOW + outbox.settled() + SECOND) == 1
    assert (status(doubtful), doubtful.gateway_id) == (MessageStatus.SENT, older)


def test_a_message_of_a_claim_that_was_renewed_is_found(world: World) -> None:
    doubtful = world.message(status="unconfirmed", gateway="twilio", claimed_at=NOW + 20 * MINUTE)
    sid = world.take(doubtful)
    assert outbox.confirm(NOW + 30 * MINUTE) == 1
    assert (status(doubtful), doubtful.gateway_id) == (MessageStatus.SENT, sid)


def test_a_message_that_the_list_has_no_answer_for_does_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [
        world.message(status="unconfirmed", claimed_at=NOW + index * SECOND, gateway="twilio")
        for index in range(2)
    ]
    find = outbox._confirmed

    def finds(message: OutboundMessage, now: datetime) -> outbox.Change:
        if message == messages[0]:
            raise OutboundError("refused with 21211", Failure.PERMANENT)
        return find(message, now)

    monkeypatch.setattr(outbox, "_confirmed", finds)
    assert outbox.confirm(NOW + 10 * MINUTE) == 1
    assert list(map(status, messages)) == [MessageStatus.UNCONFIRMED, MessageStatus.QUEUED]
    assert messages[0].due_at == NOW + 15 * MINUTE
    assert list(outbox.unconfirmed(NOW + 15 * MINUTE - SECOND)) == []
    assert list(outbox.unconfirmed(NOW + 15 * MINUTE)) == [messages[0]]


def test_however_many_can_not_be_told_about_the_next_run_asks_about_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    member, find = world.member(), outbox._confirmed
    for index in range(outbox.AT_ONCE):
        world.message(member, f"{index}", status="unconfirmed", claimed_at=NOW, gateway="twilio")
    good = world.message(status="unconfirmed", claimed_at=NOW + MINUTE, gateway="twilio")
    sid = world.take(good)

    def finds(message: OutboundMessage, now: datetime) -> outbox.Change:
        if message != good:
            raise OutboundError("refused with 21211", Failure.PERMANENT)
        return find(message, now)

    monkeypatch.setattr(outbox, "_confirmed", finds)
    later = NOW + 10 * MINUTE
    assert [outbox.confirm(later) for _ in range(3)] == [0, 1, 0]
    assert (status(good), good.gateway_id) == (MessageStatus.SENT, sid)
    assert OutboundMessage.objects.filter(status="unconfirmed", due_at=later + 5 * MINUTE).count() == 100


def test_while_the_gateway_is_left_alone_it_is_asked_about_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [world.message(status="unconfirmed", claimed_at=NOW, gateway="twilio") for _ in range(3)]
    asked: list[int] = []

    def finds(message: OutboundMessage, now: datetime) -> outbox.Change:
        asked.append(message.pk)
        raise CircuitOpen("twilio_messages")

    later = NOW + 10 * MINUTE
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_confirmed", finds)
        assert outbox.confirm(later) == 0
    assert len(asked) == 1
    assert {(status(one), one.due_at) for one in messages} == {(MessageStatus.UNCONFIRMED, NOW)}
    assert outbox.confirm(later) == 3


@pytest.mark.parametrize("arrived", [True, False])
def test_while_a_message_of_the_same_text_is_on_its_way_nobody_says_whose_the_lists_is(
    world: World, *, arrived: bool
) -> None:
    member, later = world.member(), NOW + 10 * MINUTE
    doubtful = world.message(
        member, status="unconfirmed", claimed_at=NOW, gateway="twilio", attempts=1, error="no answer"
    )
    twin = world.message(member, status="sending", claimed_at=later, gateway="twilio", attempts=1)
    sids = [world.take(message) for message in ([doubtful, twin] if arrived else [twin])]
    assert outbox.confirm(later) == 0
    assert (status(doubtful), doubtful.due_at) == (MessageStatus.UNCONFIRMED, later + 5 * MINUTE)
    assert (doubtful.error, doubtful.attempts, doubtful.claimed_at) == ("no answer", 1, NOW)
    assert not world.stub.log.outcomes
    OutboundMessage.objects.filter(pk=twin.pk).update(status="sent", gateway_id=sids[-1], sent_at=later)
    assert outbox.confirm(later + 5 * MINUTE) == 1
    expected = (MessageStatus.SENT, sids[0]) if arrived else (MessageStatus.QUEUED, "")
    assert (status(doubtful), doubtful.gateway_id) == expected


@pytest.mark.parametrize(
    ("same_member", "text", "state"),
    [
        (False, "Hello", "sending"),
        (True, "Bye", "sending"),
        (True, "Hello", "queued"),
        (True, "Hello", "failed"),
        (True, "Hello", "cancelled"),
    ],
)
def test_other_messages_keep_nobody_from_being_looked_for(
    world: World, same_member: bool, text: str, state: str
) -> None:
    member = world.member()
    doubtful = world.message(member, status="unconfirmed", claimed_at=NOW, gateway="twilio")
    sid = world.take(doubtful)
    world.message(member if same_member else None, text, status=state, claimed_at=NOW, gateway="twilio")
    assert outbox.confirm(NOW + 10 * MINUTE) == 1
    assert (status(doubtful), doubtful.gateway_id) == (MessageStatus.SENT, sid)


@pytest.mark.parametrize(
    ("fields", "expected", "error"),
    [
        ({"attempts": 99}, MessageStatus.SENT, ""),
        ({"attempts": 100}, MessageStatus.FAILED, "It was tried for a day in vain."),
        ({"attempts": 101}, MessageStatus.FAILED, "It was tried for a day in vain."),
        ({"created_at": NOW - timedelta(days=7)}, MessageStatus.SENT, ""),
        (
            {"created_at": NOW - timedelta(days=7) - SECOND},
            MessageStatus.CANCELLED,
            "It was held for too long.",
        ),
        ({"created_at": NOW - timedelta(days=3), "attempts": 1}, MessageStatus.SENT, ""),
    ],
)
@pytest.mark.parametrize("on_hold", [False, True])
def test_what_was_tried_for_a_day_or_held_for_a_week_is_given_up(
    world: World, fields: dict[str, Any], expected: MessageStatus, error: str, *, on_hold: bool
) -> None:
    message = world.message(**fields)
    if on_hold:
        paused(world)
        expected = MessageStatus.QUEUED if expected is MessageStatus.SENT else expected
    assert outbox.send(NOW) == 1
    assert (status(message), message.error) == (expected, error)
    assert len(world.taken(message)) == (expected is MessageStatus.SENT)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"claimed_at": NOW - outbox.GIVE_UP}, MessageStatus.UNCONFIRMED),
        ({"claimed_at": NOW - outbox.GIVE_UP - SECOND}, MessageStatus.FAILED),
        (
            {"claimed_at": NOW - timedelta(hours=1), "created_at": NOW - timedelta(days=30)},
            MessageStatus.UNCONFIRMED,
        ),
    ],
)
def test_what_nobody_could_tell_about_for_a_day_has_failed(
    world: World, fields: dict[str, Any], expected: MessageStatus
) -> None:
    """Asked in vain, that is: after a weekend without power everything is asked about first."""
    message = world.message(**{"status": "unconfirmed", "gateway": "twilio", **fields})
    outbox.look_after(NOW)
    assert status(message) == MessageStatus.UNCONFIRMED
    world.stub.faults.shares = {"500": 1.0}
    outbox.confirm(NOW)
    assert status(message) == expected
    if expected is MessageStatus.FAILED:
        assert (
            message.error == "It may have been sent, and is not sent again. Twilio answered 500 (error 20500)"
        )


def test_the_gateway_that_sends_nothing_says_what_it_would_have_sent(world: World, settings: Any) -> None:
    settings.TRACKLY_MESSAGES = "log"
    messages = [world.message() for _ in range(2)]
    lost = world.message(status="sending", gateway="log", claimed_at=NOW - timedelta(hours=1))
    assert outbox.send(NOW) == 2
    assert [(status(message), message.gateway, message.gateway_id) for message in messages] == [
        (MessageStatus.SENT, "log", "")
    ] * 2
    outbox.look_after(NOW)
    assert outbox.confirm(NOW) == 1
    assert (status(lost), lost.gateway_id) == (MessageStatus.SENT, f"row-{lost.pk}")
    assert not world.stub.log.outcomes


def test_the_gateway_that_may_have_a_message_is_asked_also_when_another_sends_now(
    world: World, settings: Any
) -> None:
    message = world.message(status="unconfirmed", gateway="twilio", claimed_at=NOW)
    sid = world.take(message)
    settings.TRACKLY_MESSAGES = "log"
    assert outbox.confirm(NOW + 10 * MINUTE) == 1
    assert (status(message), message.gateway, message.gateway_id) == (MessageStatus.SENT, "twilio", sid)


class Slow:
    """A gateway that takes messages when the gate opens."""

    name = "twilio"

    def __init__(self) -> None:
        self.gate, self.abandoned = threading.Event(), threading.Event()
        self.taken: list[str] = []
        self.error: Exception | None = None

    async def send(self, _: Caller, message: Outgoing, permit: Permit | None = None) -> str:
        try:
            async with asyncio.timeout(25):
                while not self.gate.is_set():
                    await _pause()
        except asyncio.CancelledError:
            self.abandoned.set()
            raise
        if self.error:
            raise self.error
        self.taken.append(message.to_number)
        return f"SM{len(self.taken)}"


async def _pause() -> None:
    await asyncio.sleep(0.005)


@pytest.fixture
def slow(world: World, monkeypatch: pytest.MonkeyPatch) -> Slow:
    """The gateway, which is slow; claims are renewed each time that somebody looks."""
    made = Slow()
    monkeypatch.setattr(outbox, "gateway", lambda: made)
    monkeypatch.setattr(outbox, "KEEP_SECONDS", 0.0)
    return made


def test_what_waits_long_for_its_turn_is_not_taken_for_lost(
    world: World, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, keep = world.message(), outbox._keep

    def keeps(held: Any, now: datetime) -> dict[int, bool]:
        ours = keep(held, now)
        outbox.look_after(now)
        if now > NOW + 10 * MINUTE:
            slow.gate.set()
        world.now += timedelta(seconds=100)
        return ours

    monkeypatch.setattr(outbox, "_keep", keeps)
    outbox.send(NOW)
    assert (status(message), message.gateway_id) == (MessageStatus.SENT, "SM1")
    assert message.claimed_at is not None
    assert message.claimed_at >= NOW + 10 * MINUTE
    assert message.sent_at is not None
    assert message.sent_at >= NOW + 10 * MINUTE


@pytest.mark.parametrize("changes", [{"status": "unconfirmed"}, {"attempts": 2}])
def test_what_was_taken_from_a_worker_that_stood_still_it_does_not_send(
    world: World, slow: Slow, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    message, keep, looked = world.message(), outbox._keep, []

    def keeps(held: Any, now: datetime) -> dict[int, bool]:
        OutboundMessage.objects.update(**changes)
        looked.append(len(held))
        if len(looked) > 2:  # it goes on all the same
            slow.gate.set()
        return keep(held, now)

    monkeypatch.setattr(outbox, "_keep", keeps)
    outbox.send(NOW)
    assert slow.taken == []
    assert slow.abandoned.wait(timeout=25)
    assert {name: getattr(OutboundMessage.objects.get(), name) for name in changes} == changes
    assert status(message) != MessageStatus.SENT


def test_the_outcome_of_an_attempt_says_nothing_of_a_later_one(
    world: World, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "KEEP_SECONDS", 60.0)
    message, outcome = world.message(), outbox._outcome
    slow.error = OutboundError("not taken", Failure.RETRYABLE)
    slow.gate.set()

    def comes_late(*given: Any) -> outbox.Change:
        OutboundMessage.objects.update(attempts=2)  # another worker has it in its hands by now
        return outcome(*given)

    monkeypatch.setattr(outbox, "_outcome", comes_late)
    outbox.send(NOW)
    assert (status(message), message.attempts) == (MessageStatus.SENDING, 2)


def test_what_was_not_posted_when_an_outcome_could_not_be_stored_is_not_posted_by_that_run(
    world: World, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = settings.TRACKLY_RATES
    settings.TRACKLY_RATES = {**rates, "twilio_messages": 1.0}
    messages = [world.message() for _ in range(10)]

    def hiccups(*_: Any) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_at_once", lambda: 10)
        patch.setattr(outbox, "_store", hiccups)
        with pytest.raises(OperationalError):
            outbox.send(NOW)
    while circuit()._tasks:  # what is cancelled has yet to hear of it
        continue
    posted = len(world.stub.messages.taken)
    assert 0 < posted < 10
    assert {status(message) for message in messages} == {MessageStatus.SENDING}
    settings.TRACKLY_RATES = rates
    forget()
    assert outbox.send(NOW + MINUTE) == 0
    world.now = NOW + outbox.settled() + SECOND
    outbox.look_after(world.now)
    assert {status(message) for message in messages} == {MessageStatus.UNCONFIRMED}
    assert len(world.stub.messages.taken) == posted
    assert outbox.confirm(world.now) == 10
    assert Counter(map(status, messages)) == {
        MessageStatus.SENT: posted,
        MessageStatus.QUEUED: 10 - posted,
    }
    assert outbox.send(world.now) == 10 - posted
    assert {status(message) for message in messages} == {MessageStatus.SENT}
    assert [world.taken(message) for message in messages] == [[message.gateway_id] for message in messages]


def test_who_leaves_by_an_exception_leaves_nothing_under_way(
    world: World, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [world.message() for _ in range(3)]

    def dies(*_: Any) -> set[int]:
        raise ZeroDivisionError

    monkeypatch.setattr(outbox, "_keep", dies)
    with pytest.raises(ZeroDivisionError):
        outbox.send(NOW)
    assert slow.abandoned.wait(timeout=25)
    slow.gate.set()
    caller().submit(_pause()).result()
    assert slow.taken == []
    assert {status(message) for message in messages} == {MessageStatus.SENDING}


def test_what_nobody_foresaw_may_have_happened_after_the_sending(world: World, slow: Slow) -> None:
    slow.error = ZeroDivisionError()
    slow.gate.set()
    message = world.message()
    outbox.send(NOW)
    assert status(message) == MessageStatus.UNCONFIRMED


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "unconfirmed"}, MessageStatus.UNCONFIRMED),  # taken for lost
        ({"attempts": 2}, MessageStatus.SENDING),  # by another worker
    ],
)
def test_what_was_taken_from_a_worker_between_its_claim_and_the_post_is_not_posted(
    world: World, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], expected: MessageStatus
) -> None:
    message, other = world.message(), world.message()
    hand_over = outbox._hand_over

    def stands_still(*given: Any) -> int:
        OutboundMessage.objects.filter(pk=message.pk).update(**changes)
        return hand_over(*given)

    monkeypatch.setattr(outbox, "_hand_over", stands_still)
    outbox.send(NOW)
    assert (status(message), status(other)) == (expected, MessageStatus.SENT)
    assert (world.taken(message), len(world.taken(other))) == ([], 1)


def test_who_opts_out_between_the_claim_and_the_post_gets_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, other = world.message(), world.message()
    hand_over = outbox._hand_over

    def opts_out(*given: Any) -> int:
        ListContact.objects.filter(pk=message.list_contact_id).update(unsubscribed_at=NOW)
        return hand_over(*given)

    monkeypatch.setattr(outbox, "_hand_over", opts_out)
    outbox.send(NOW)
    assert (status(message), message.error, message.attempts) == (
        MessageStatus.CANCELLED,
        "The contact opted out.",
        0,
    )
    assert (status(other), world.taken(message)) == (MessageStatus.SENT, [])


def test_the_claim_is_renewed_right_before_the_post(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    message, hand_over = world.message(), outbox._hand_over

    def waits(*given: Any) -> int:
        world.now += MINUTE
        return hand_over(*given)

    monkeypatch.setattr(outbox, "_hand_over", waits)
    outbox.send(NOW)
    assert (status(message), message.claimed_at, message.sent_at) == (
        MessageStatus.SENT,
        NOW + MINUTE,
        NOW + MINUTE,
    )


@pytest.mark.parametrize("confirm_after", [60.0, 300.0, 3600.0])
def test_a_permit_has_ended_long_before_its_message_is_taken_for_lost(
    settings: Any, confirm_after: float
) -> None:
    settings.TRACKLY_CONFIRM_AFTER = confirm_after
    left = min(outbox.silent(), outbox.settled()).total_seconds() - outbox.post_within()
    assert left >= settings.TRACKLY_MESSAGE_TIMEOUT + 30


def doubtful(world: World, member: ListContact, text: str = "Hello") -> OutboundMessage:
    return world.message(member, text, status="unconfirmed", claimed_at=NOW, gateway="twilio", attempts=1)


@pytest.mark.parametrize("arrived", [True, False])
def test_where_the_list_hides_texts_what_the_gateway_has_is_not_sent_again(
    world: World, *, arrived: bool
) -> None:
    world.stub.messages.hides_texts = True
    before = world.member()
    sent, message = world.message(before), doubtful(world, before)
    outbox.send(NOW)  # this one it has, and it is known to be another
    sids = [world.take(message)] if arrived else []
    world.now += 10 * MINUTE
    assert outbox.confirm(world.now) == 1
    expected = (MessageStatus.SENT, sids[0]) if arrived else (MessageStatus.QUEUED, "")
    assert (status(message), message.gateway_id) == expected
    outbox.send(world.now)
    assert status(sent) == status(message) == MessageStatus.SENT
    assert len(world.taken(message)) == 2


def test_where_it_can_not_be_told_which_of_two_the_gateway_has_none_is_sent_again(world: World) -> None:
    world.stub.messages.hides_texts = True
    member = world.member()
    messages = [doubtful(world, member, "Hello"), doubtful(world, member, "Bye")]
    world.take(messages[0])
    asked = 0
    while any(status(message) == MessageStatus.UNCONFIRMED for message in messages):
        world.now += 5 * MINUTE
        outbox.look_after(world.now)
        outbox.confirm(world.now)
        asked += 1
        assert outbox.send(world.now) == 0
    assert NOW + outbox.GIVE_UP < world.now < NOW + outbox.GIVE_UP + 10 * MINUTE
    for message in messages:
        assert message.status == MessageStatus.FAILED
        assert message.error.startswith(
            "It may have been sent, and is not sent again. The gateway's list hides"
        )
    assert len(world.stub.messages.taken) == 1


def test_two_that_the_gateway_has_are_both_found_where_the_list_hides_texts(world: World) -> None:
    world.stub.messages.hides_texts = True
    member = world.member()
    messages = [doubtful(world, member, "Hello"), doubtful(world, member, "Bye")]
    sids = [world.take(message) for message in messages]
    assert outbox.confirm(NOW + 10 * MINUTE) == 2
    assert {(status(message), message.gateway_id) for message in messages} == {
        (MessageStatus.SENT, sid) for sid in sids
    }


def test_where_the_list_hides_digits_what_it_may_have_is_not_sent_again(world: World) -> None:
    world.stub.messages.hides_digits = True
    message = doubtful(world, world.member())
    assert outbox.confirm(NOW + 10 * MINUTE) == 1
    assert status(message) == MessageStatus.QUEUED  # it has nothing at all
    OutboundMessage.objects.update(status="unconfirmed")
    world.take(message)
    assert outbox.confirm(NOW + 10 * MINUTE) == 0
    assert (status(message), message.due_at) == (MessageStatus.UNCONFIRMED, NOW + 15 * MINUTE)
    assert message.error.startswith("Twilio hides digits of recipients")


@pytest.mark.parametrize("skew", [-10 * MINUTE, 10 * MINUTE])
def test_the_gateways_clock_need_not_be_right(world: World, skew: timedelta) -> None:
    world.stub.messages.clock = lambda: world.now + skew
    message = doubtful(world, world.member())
    sid = world.take(message)
    world.now += 10 * MINUTE
    assert outbox.confirm(world.now) == 1
    assert (status(message), message.gateway_id) == (MessageStatus.SENT, sid)


@pytest.mark.parametrize("skew", [-10 * MINUTE, 10 * MINUTE])
def test_this_machines_clock_need_not_be_right(
    world: World, monkeypatch: pytest.MonkeyPatch, skew: timedelta
) -> None:
    """Beat's machine, and the senders': all that they compare is the database's."""
    for task in (tasks.send, tasks.confirm):
        monkeypatch.setattr(task, "apply_async", lambda **_: None)
    monkeypatch.setattr(outbox, "_database_clock", sql.now)
    wrong = timezone.now() + skew
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    now = sql.now()
    world.stub.messages.clock = lambda: datetime.now(UTC)
    sending = world.message(status="sending", claimed_at=now, created_at=now, gateway="twilio", attempts=1)
    young = world.message(status="unconfirmed", claimed_at=now, due_at=now, created_at=now, gateway="twilio")
    lost = world.message(
        status="sending", claimed_at=now - 3 * MINUTE, created_at=now - 3 * MINUTE, gateway="twilio"
    )
    old = world.message(
        status="unconfirmed", claimed_at=now - 6 * MINUTE, created_at=now - 6 * MINUTE, gateway="twilio"
    )
    sid = world.take(old)
    early = world.message(due_at=now + MINUTE, created_at=now)
    due = world.message(due_at=now, created_at=now)
    Enrollment.objects.update(due_at=now + timedelta(days=1))
    for run in (tasks.tick, tasks.send, tasks.confirm):
        run()
    assert list(map(status, (sending, young, lost, early, due))) == [
        MessageStatus.SENDING,
        MessageStatus.UNCONFIRMED,
        MessageStatus.UNCONFIRMED,
        MessageStatus.QUEUED,
        MessageStatus.SENT,
    ]
    assert (status(old), old.gateway_id) == (MessageStatus.SENT, sid)
    assert due.claimed_at is not None
    assert now <= due.claimed_at <= sql.now()


@pytest.mark.django_db(transaction=True)
def test_senders_at_once_send_each_message_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "AT_ONCE", 5)
    messages, started = [world.message() for _ in range(60)], threading.Barrier(4)

    def sender() -> int:
        started.wait()
        try:
            sent = 0
            while taken := outbox.send(NOW):
                sent += taken
            return sent
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        shares = [running.result() for running in [pool.submit(sender) for _ in range(4)]]
    assert sum(shares) == len(messages)
    assert {status(message) for message in messages} == {MessageStatus.SENT}
    assert [world.taken(message) for message in messages] == [[message.gateway_id] for message in messages]


@pytest.mark.usefixtures("hasty")
def test_whatever_goes_wrong_every_message_is_taken_exactly_once(world: World) -> None:
    world.stub.faults.shares, world.stub.faults.retry_after = dict.fromkeys(KINDS, 1 / 18), 0
    members = [world.member() for _ in range(80)]
    again = world.journey_of(world.list)
    for index, member in enumerate(members):
        world.message(member, f"Hello {index}")
        world.message(member, f"Bye {index}")
        if index % 2:
            world.message(member, f"Hello {index}", journey=again)  # the same text once more
    wanted = Counter(
        OutboundMessage.objects.values_list("list_contact__contact__phone_number", "text").order_by("pk")
    )
    assert wanted.total() == 200
    while OutboundMessage.objects.filter(status__in=UNSETTLED).exists():
        assert world.now < NOW + outbox.GIVE_UP
        while outbox.send(world.now):
            pass
        outbox.look_after(world.now)
        outbox.confirm(world.now)
        world.now += MINUTE
    assert set(OutboundMessage.objects.values_list("status", flat=True)) == {MessageStatus.SENT}
    assert Counter((taken["to"], taken["body"]) for taken in world.stub.messages.taken) == wanted
    assert {taken["sid"] for taken in world.stub.messages.taken} == set(
        OutboundMessage.objects.values_list("gateway_id", flat=True)
    )
    met = {kind for (service, _), outcomes in world.stub.log.outcomes.items() for kind in outcomes}
    assert met == {"ok", *KINDS}
    assert OutboundMessage.objects.filter(attempts__gt=1).exists()
