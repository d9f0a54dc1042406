"""Messages leave the outbox once each, whatever the gateway answers and whoever dies."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from contacts.models import Contact, ListContact, SendingList
from journeys import clock
from journeys.messages import outbox
from journeys.messages.gateways import Outgoing
from journeys.models import Enrollment, Journey, MessageStatus, OutboundMessage
from tests.support import joins, new_account, new_journey, new_number
from trackly.accounts.models import Account
from trackly.embedded.home import free_port
from trackly.outbound import Caller, OutboundError, Verdict
from trackly.sandbox.faults import KINDS
from trackly.sandbox.server import Stub

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
    settings.TRACKLY_MESSAGE_TIMEOUT, settings.TRACKLY_BREAKER_PAUSE = 2.0, 0
    settings.TRACKLY_BREAKER_THRESHOLD = 1000
    monkeypatch.setattr(outbox, "time", SimpleNamespace(monotonic=lambda: 0.0))
    return World(stub)


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
    awake = world.message(world.member(time_zone="America/New_York"), due_at=early)
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


def deleted(world: World) -> None:
    SendingList.objects.filter(pk=world.list.pk).update(status="deleted")


def suspended(world: World) -> None:
    Account.objects.filter(pk=world.account.pk).update(suspended_at=NOW)


@pytest.mark.parametrize("hold", [paused, deleted, suspended])
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
        patch.setattr("contacts.memberships.leave", dies)
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
        outbox.look_after(world.now)
        if outbox.send(world.now):
            assert status(message) == MessageStatus.QUEUED
            pauses.append((message.due_at - world.now).total_seconds())
    assert pauses[:7] == [30, 60, 120, 240, 480, 900, 900]
    assert set(pauses[7:]) == {900}
    assert (status(message), message.attempts) == (MessageStatus.FAILED, len(pauses))
    assert NOW + outbox.GIVE_UP < world.now <= NOW + outbox.GIVE_UP + timedelta(minutes=15)
    assert "no answer" in message.error


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


def test_a_sender_that_is_refused_waits_for_somebody_who_mends_that(world: World) -> None:
    SendingList.objects.filter(pk=world.list.pk).update(phone_number="+15005550007")
    message = world.message()
    outbox.send(NOW)
    assert (status(message), message.due_at) == (MessageStatus.QUEUED, NOW + 30 * SECOND)
    assert "21606" in message.error


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
    assert status(message) == MessageStatus.UNCONFIRMED
    world.set_free()
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
    find = outbox._find

    def finds(message: OutboundMessage) -> str:
        if message == messages[0]:
            raise OutboundError("refused with 21211", Verdict.NOT_THIS)
        return find(message)

    monkeypatch.setattr(outbox, "_find", finds)
    assert outbox.confirm(NOW + 10 * MINUTE) == 1
    assert list(map(status, messages)) == [MessageStatus.UNCONFIRMED, MessageStatus.QUEUED]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"created_at": NOW - outbox.GIVE_UP - SECOND, "attempts": 1}, MessageStatus.FAILED),
        ({"created_at": NOW - 2 * outbox.GIVE_UP}, MessageStatus.QUEUED),  # held, never tried
        ({"created_at": NOW - outbox.GIVE_UP, "attempts": 1}, MessageStatus.QUEUED),
        ({"created_at": NOW - 2 * outbox.GIVE_UP, "due_at": NOW + SECOND}, MessageStatus.QUEUED),
        ({"created_at": NOW - 2 * outbox.GIVE_UP, "status": "unconfirmed"}, MessageStatus.UNCONFIRMED),
        ({"created_at": NOW - 2 * outbox.GIVE_UP, "status": "cancelled"}, MessageStatus.CANCELLED),
    ],
)
def test_only_what_was_tried_for_a_day_is_given_up(
    world: World, fields: dict[str, Any], expected: MessageStatus
) -> None:
    message = world.message(**fields)
    outbox.look_after(NOW)
    assert status(message) == expected


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

    async def send(self, _: Caller, message: Outgoing) -> str:
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
    passed = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(outbox, "time", SimpleNamespace(monotonic=lambda: passed.seconds))

    def keeps(held: Any, now: datetime) -> set[int]:
        ours = keep(held, now)
        outbox.look_after(now)
        if passed.seconds > 600:
            slow.gate.set()
        passed.seconds += 100
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

    def keeps(held: Any, now: datetime) -> set[int]:
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
    slow.error = OutboundError("not taken", Verdict.TRY_AGAIN)
    slow.gate.set()

    def comes_late(*given: Any) -> outbox.Change:
        OutboundMessage.objects.update(attempts=2)  # another worker has it in its hands by now
        return outcome(*given)

    monkeypatch.setattr(outbox, "_outcome", comes_late)
    outbox.send(NOW)
    assert (status(message), message.attempts) == (MessageStatus.SENDING, 2)


def test_what_nobody_foresaw_may_have_happened_after_the_sending(world: World, slow: Slow) -> None:
    slow.error = ZeroDivisionError()
    slow.gate.set()
    message = world.message()
    outbox.send(NOW)
    assert status(message) == MessageStatus.UNCONFIRMED


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
