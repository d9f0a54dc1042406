"""What does something each time it arrives is not sent again, unless it is known not to have arrived."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import aiohttp
import pytest

from core.outbound import Endpoint, Failure, OutboundError, RateLimitTimeout, Request, Response, boot_clock
from core.outbound.breaker import Breaker
from core.outbound.calling import caller
from core.outbound.limit import Limit
from core.outbound.session import basic
from core.outbound.twilio import error_code
from core.redis_client import client
from devstack.home import free_port
from devstack.sandbox.messages import Answer, Form
from devstack.sandbox.server import Stub
from devstack.stack import Stack
from tests.support import LIST, new_number, new_numbers

pytestmark = pytest.mark.usefixtures("servers")
_TAKEN_OR_NOT = ["timeout", "reset", "half", "nonsense", "500"]
"""Faults after which nobody knows whether the request took effect."""


def ask(question: Coroutine[Any, Any, Any]) -> Any:
    return caller().submit(question).result()


@pytest.fixture(autouse=True)
def _own_redis(servers: Stack, settings: Any) -> None:
    settings.REDIS_URL = servers.environment["REDIS_URL"]


ENDPOINT = Endpoint(name="A gateway", path="/Messages.json", address="ADDRESS", credentials="CREDENTIALS")


def read(response: Response) -> str:
    if response.status != 201:
        if error_code(response) == 21211:
            raise OutboundError("no such number", Failure.PERMANENT)
        ENDPOINT.check_status(response)
    sid: str = ENDPOINT.read(response, dict[str, Any])["sid"]
    return sid


def post(base: str, number: str, **options: Any) -> Coroutine[Any, Any, str]:
    """A message to the number, which is what the stub has that must not come twice."""
    request = Request(
        method="POST",
        url=f"{base}/2010-04-01/Accounts/AC0/Messages.json",
        form={"To": number, "From": LIST, "Body": "Hello"},
        headers=basic("AC0", "0"),
        **options,
    )
    return caller().ask("twilio_messages", number, request, read)


def base_of(stub: Stub) -> str:
    return f"http://127.0.0.1:{stub.server_port}"


def taken(stub: Stub, number: str) -> int:
    return stub.messages.counted().get(number, 0)


def test_what_is_answered_is_sent_once(stub: Stub) -> None:
    number = new_number()
    sid = ask(post(base_of(stub), number, once=True))
    assert [message["sid"] for message in stub.messages.taken] == [sid]
    assert stub.log.outcomes["messages", number] == {"ok": 1}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", _TAKEN_OR_NOT)
def test_what_may_have_arrived_is_not_sent_again(stub: Stub, fault: str) -> None:
    stub.faults.shares = {fault: 1.0}
    number = new_number()
    with pytest.raises(OutboundError) as caught:
        ask(post(base_of(stub), number, once=True))
    assert caught.value.failure is Failure.AMBIGUOUS
    assert number not in str(caught.value)
    assert stub.log.outcomes["messages", number] == {fault: 1}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", _TAKEN_OR_NOT)
def test_what_may_arrive_twice_is_sent_three_times(stub: Stub, fault: str) -> None:
    stub.faults.shares = {fault: 1.0}
    number = new_number()
    with pytest.raises(OutboundError) as caught:
        ask(post(base_of(stub), number))
    assert caught.value.failure is Failure.RETRYABLE
    assert stub.log.outcomes["messages", number] == {fault: 3}


def test_what_was_told_to_wait_was_not_taken_and_is_sent_again(stub: Stub) -> None:
    stub.faults.shares, stub.faults.retry_after = {"429": 1.0}, 0
    number = new_number()
    with pytest.raises(OutboundError, match="less often") as caught:
        ask(post(base_of(stub), number, once=True))
    assert caught.value.failure is Failure.RETRYABLE
    assert stub.log.outcomes["messages", number] == {"429": 6}
    assert taken(stub, number) == 0


def test_what_nobody_listened_to_is_sent_again(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    way, tries = caller(), []
    send = way._send

    async def counted(request: Request, body: Any) -> Response:
        tries.append(request.once)
        return await send(request, body)

    monkeypatch.setattr(way, "_send", counted)
    with pytest.raises(OutboundError, match="no answer") as caught:
        ask(post(f"http://127.0.0.1:{free_port()}", new_number(), once=True))
    assert caught.value.failure is Failure.RETRYABLE
    assert tries == [True] * 3


def test_a_refusal_is_no_doubt(stub: Stub) -> None:
    with pytest.raises(OutboundError) as caught:
        ask(post(base_of(stub), "+15005550001", once=True))
    assert caught.value.failure is Failure.PERMANENT


def test_a_request_has_a_time_out_of_its_own(stub: Stub, settings: Any) -> None:
    settings.TRACKLY_LOOKUP_TIMEOUT, stub.faults.delay = 0.1, 0.5
    number = new_number()
    assert ask(post(base_of(stub), number, once=True, timeout=30))
    settings.TRACKLY_LOOKUP_TIMEOUT, stub.faults.delay = 30, 0
    stub.faults.shares = {"timeout": 1.0}
    with pytest.raises(OutboundError, match="TimeoutError"):
        ask(post(base_of(stub), number, once=True, timeout=0.1))


def test_what_is_under_way_when_a_circuit_opens_may_have_arrived(
    stub: Stub, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking, arrived = stub.messages.post, threading.Event()

    def take(account: str, form: Form) -> Answer:
        answer = taking(account, form)
        arrived.set()
        return answer

    monkeypatch.setattr(stub.messages, "post", take)
    settings.TRACKLY_BREAKER_THRESHOLD = 2
    stub.faults.shares = {"timeout": 1.0}
    way, asked, failing = caller(), new_number(), [new_number() for _ in range(2)]
    under_way = way.submit(post(base_of(stub), asked, once=True, timeout=30))
    assert arrived.wait(timeout=25)
    for number in failing:
        with pytest.raises(OutboundError):
            ask(post(base_of(stub), number, once=True, timeout=0.1))
    with pytest.raises(OutboundError) as caught:
        under_way.result()
    assert caught.value.failure is Failure.AMBIGUOUS
    assert stub.asked("messages", asked) == 1


def test_what_still_waits_when_a_circuit_opens_was_never_sent(stub: Stub, settings: Any) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD, settings.TRACKLY_LOOKUPS_IN_FLIGHT = 1, 1
    stub.faults.shares = {"timeout": 1.0}
    numbers = new_numbers(2)

    async def both() -> list[Any]:
        asked = (post(base_of(stub), number, once=True, timeout=0.3) for number in numbers)
        return list(await asyncio.gather(*asked, return_exceptions=True))

    found = dict(zip(numbers, ask(both()), strict=True))
    asked = {number: stub.asked("messages", number) for number in numbers}
    assert sorted(asked.values()) == [0, 1]
    assert {number: error.failure for number, error in found.items()} == {
        number: Failure.AMBIGUOUS if times else Failure.RETRYABLE for number, times in asked.items()
    }


def service() -> tuple[Breaker, Limit]:
    """What this process knows of the service; made in the loop, as they are used there."""

    async def known() -> tuple[Breaker, Limit]:
        return caller()._service("twilio_messages")

    found: tuple[Breaker, Limit] = ask(known())
    return found


@pytest.fixture
def _turns_of_nobody(_own_redis: None) -> Iterator[None]:
    """What these tests make Redis remember is forgotten."""
    keys = [f"trackly:outbound:twilio_messages:{key}" for key in ("turn", "pause")]
    client.cache_clear()
    client().delete(*keys)
    yield
    client().delete(*keys)


@pytest.mark.usefixtures("_turns_of_nobody")
@pytest.mark.parametrize("held_by", ["pause", "rate"])
@pytest.mark.parametrize("once", [True, False])
def test_a_request_waits_no_longer_for_its_turn_than_its_patience_lasts(
    stub: Stub, settings: Any, held_by: str, once: bool
) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD = 1
    if held_by == "rate":  # the next turn is far away
        settings.TRACKLY_RATES = {**settings.TRACKLY_RATES, "twilio_messages": 0.001}
        ask(post(base_of(stub), new_number(), once=True))
    else:
        _, limit = service()
        ask(limit.pause(3600))
    patient, impatient = new_numbers(2)
    waiting = caller().submit(post(base_of(stub), patient, once=once))
    with pytest.raises(RateLimitTimeout, match="no turn in time") as caught:
        ask(post(base_of(stub), impatient, once=once, patience=0.2))
    assert caught.value.failure is Failure.DEFERRED
    assert not waiting.done()
    waiting.cancel()
    while service()[0]._tasks:  # until it has heard of that
        continue
    assert (stub.asked("messages", patient), stub.asked("messages", impatient)) == (0, 0)
    assert not service()[0].is_open


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Turns that there are: at once, or never; those that come after them: at once."""
    given: list[bool] = []

    async def turn(_: Limit) -> None:
        if given and not given.pop(0):
            await asyncio.Event().wait()

    monkeypatch.setattr(Limit, "turn", turn)
    return given


def test_who_is_told_to_wait_for_longer_than_he_will_was_not_taken(stub: Stub, turns: list[bool]) -> None:
    turns += [True, False]
    stub.faults.shares, stub.faults.retry_after = {"429": 1.0}, 0
    number = new_number()
    with pytest.raises(RateLimitTimeout):
        ask(post(base_of(stub), number, once=True, patience=0.0))
    assert stub.log.outcomes["messages", number] == {"429": 1}
    assert taken(stub, number) == 0


@pytest.mark.usefixtures("turns")
def test_patience_is_for_the_turn_and_not_for_the_answer(stub: Stub) -> None:
    stub.faults.delay = 0.1
    number = new_number()
    assert ask(post(base_of(stub), number, once=True, patience=0.0, timeout=30))
    assert taken(stub, number) == 1


def test_what_is_not_taken_now_is_an_answer_and_is_not_asked_again(stub: Stub, settings: Any) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD = 2

    def reads_later(_: Response) -> str:
        raise OutboundError("not by this sender", Failure.DEFERRED)

    def fails() -> None:
        stub.faults.shares = {"500": 1.0}
        with pytest.raises(OutboundError):
            ask(post(base_of(stub), new_number(), once=True))
        stub.faults.shares = {}

    number = new_number()
    later = Request(url=f"{base_of(stub)}/2010-04-01/Accounts/AC0/Messages.json", headers=basic("AC0", "0"))
    breaker, _ = service()
    fails()
    with pytest.raises(OutboundError) as caught:
        ask(caller().ask("twilio_messages", number, later, reads_later))
    assert caught.value.failure is Failure.DEFERRED
    fails()
    assert not breaker.is_open
    fails()
    assert breaker.is_open


async def always() -> float:
    return boot_clock() + 60


def test_a_permit_is_asked_for_each_try_after_its_turn(stub: Stub, turns: list[bool]) -> None:
    stub.faults.shares, stub.faults.retry_after = {"429": 1.0}, 0
    number, asked = new_number(), []

    async def permit() -> float:
        asked.append(stub.asked("messages", number))
        return await always()

    with pytest.raises(OutboundError, match="less often"):
        ask(post(base_of(stub), number, once=True, permit=permit))
    assert asked == [0, 1, 2, 3, 4, 5]


def test_without_a_permit_nothing_is_sent_and_that_says_nothing_of_the_service(
    stub: Stub, settings: Any
) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD = 1

    async def refuses() -> float:
        raise OutboundError("not any more", Failure.DEFERRED)

    number = new_number()
    with pytest.raises(OutboundError, match="not any more"):
        ask(post(base_of(stub), number, once=True, permit=refuses))
    assert stub.asked("messages", number) == 0
    assert not service()[0].is_open


def test_a_request_that_comes_to_be_written_too_late_is_not_written(stub: Stub) -> None:
    late, number = new_number(), new_number()

    async def expired() -> float:
        return boot_clock() - 0.001

    with pytest.raises(RateLimitTimeout):
        ask(post(base_of(stub), late, once=True, permit=expired))
    assert ask(post(base_of(stub), number, once=True, permit=always))
    assert (stub.asked("messages", late), taken(stub, number)) == (0, 1)
    assert not service()[0].is_open


def test_the_last_look_at_the_clock_is_when_the_connection_stands(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped while it connects, or with a connection in its hands."""
    connect, until = aiohttp.TCPConnector.connect, 0.0

    async def permit() -> float:
        nonlocal until
        until = boot_clock() + 0.05
        return until

    async def connects(*given: Any, **more: Any) -> Any:
        connection = await connect(*given, **more)
        while boot_clock() <= until:  # the whole loop stands still
            continue
        return connection

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connects)
    number = new_number()
    with pytest.raises(RateLimitTimeout):
        ask(post(base_of(stub), number, once=True, permit=permit))
    assert stub.asked("messages", number) == 0
