"""Questions over a real socket, to a stub that is told what to do wrong."""

from collections.abc import Coroutine
from typing import Any

import pytest

from core.outbound import Failure, OutboundError
from core.outbound.breaker import UNTOLD, CircuitOpen
from core.outbound.calling import caller
from devstack.home import free_port
from devstack.sandbox import server, wire
from devstack.sandbox.faults import KINDS
from devstack.sandbox.server import Stub
from devstack.stack import Stack
from lookups.line import Line, LineKind
from lookups.sandbox import Number
from lookups.sources import SOURCES, first_answer, realphonevalidation, telnyx, twilio
from tests.support import eventually, new_number

pytestmark = pytest.mark.usefixtures("servers")
MOBILE = Line(in_service=True, kind=LineKind.MOBILE, carrier="Sandbox Wireless", country="US")


def ask(question: Coroutine[Any, Any, Any]) -> Any:
    return caller().submit(question).result()


@pytest.fixture(autouse=True)
def _own_redis(servers: Stack, settings: Any) -> None:
    settings.REDIS_URL = servers.environment["REDIS_URL"]


def test_the_stub_speaks_each_providers_language(stub: Stub) -> None:
    assert ask(twilio.look_up(caller(), new_number())) == MOBILE
    assert ask(telnyx.look_up(caller(), new_number())) == MOBILE
    assert ask(telnyx.look_up(caller(), "+12025550114")) == Line(
        in_service=False, kind=LineKind.MOBILE, carrier="Sandbox Wireless", country="US"
    )
    assert ask(telnyx.look_up(caller(), "+12025550115")) == Line(valid=False)
    assert not ask(twilio.look_up(caller(), "+13105558888")).takes_text
    assert ask(realphonevalidation.is_on_list(caller(), "+12025550112"))
    assert not ask(realphonevalidation.is_on_list(caller(), new_number()))


def test_nobody_is_asked_for_do_not_call_lists_outside_of_north_america(stub: Stub) -> None:
    assert not ask(realphonevalidation.is_on_list(caller(), "+447400123456"))
    assert not stub.log.outcomes


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", [kind for kind in KINDS if kind != "429"])
def test_what_always_goes_wrong_is_tried_three_times(stub: Stub, fault: str) -> None:
    stub.faults.shares = {fault: 1.0}
    number = new_number()
    with pytest.raises(OutboundError) as caught:
        ask(twilio.look_up(caller(), number))
    assert caught.value.failure is Failure.RETRYABLE
    assert number not in str(caught.value)
    assert stub.log.outcomes["twilio", number] == {fault: 3}


@pytest.mark.parametrize("status", ["403", "404", "405"])
@pytest.mark.parametrize("source", ["twilio", "telnyx"])
def test_a_page_of_something_in_between_is_no_answer_and_soon_not_asked_for(
    stub: Stub, settings: Any, source: str, status: str
) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD = 3
    stub.faults.shares = {status: 1.0}
    for _ in range(3):
        number = new_number()
        with pytest.raises(OutboundError, match=f"answered {status} to /v2/.*: check ") as caught:
            ask(first_answer(caller(), [source], number))
        assert caught.value.failure is Failure.MISCONFIGURED
        assert stub.log.outcomes[source, number] == {status: 1}
    with pytest.raises(CircuitOpen, match=f"left alone for a while: .* answered {status} to "):
        ask(first_answer(caller(), [source], new_number()))


def test_a_service_that_can_tell_of_no_number_is_left_alone(
    stub: Stub, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD = 2

    def knows_nothing(asked: str, number: Number) -> wire.Answer:
        status, body = wire.twilio(asked, number)
        empty = {"type": None, "carrier_name": None, "error_code": 60600}
        return status, {**body, "line_type_intelligence": empty}

    monkeypatch.setitem(server._SERVICES, "twilio", knows_nothing)
    for _ in range(2 * UNTOLD):
        assert ask(first_answer(caller(), ["twilio"], new_number())) == Line(country="US")
    with pytest.raises(CircuitOpen, match="could tell nothing about 10 numbers"):
        ask(first_answer(caller(), ["twilio"], new_number()))


def test_what_goes_wrong_once_is_answered(stub: Stub) -> None:
    assert ask(twilio.look_up(caller(), "+12025550103")).kind is LineKind.MOBILE
    assert stub.log.outcomes["twilio", "+12025550103"] == {"500": 1, "ok": 1}


def test_to_be_told_to_wait_is_no_failed_try_and_has_an_end(stub: Stub) -> None:
    stub.faults.shares, stub.faults.retry_after = {"429": 1.0}, 0
    number = new_number()
    with pytest.raises(OutboundError, match="less often"):
        ask(twilio.look_up(caller(), number))
    assert stub.log.outcomes["twilio", number] == {"429": 6}


def test_nobody_waits_for_a_service_that_wants_us_to_wait_for_long(stub: Stub) -> None:
    stub.faults.shares, stub.faults.retry_after = {"429": 1.0}, 3600
    number = new_number()
    with pytest.raises(OutboundError, match="less often"):
        ask(telnyx.look_up(caller(), number))
    assert stub.asked("telnyx", number) == 1


def test_a_dead_service_is_left_alone(stub: Stub, settings: Any) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD = 3
    stub.faults.dead = True
    for _ in range(3):
        with pytest.raises(OutboundError):
            ask(twilio.look_up(caller(), new_number()))
    number = new_number()
    with pytest.raises(CircuitOpen):
        ask(twilio.look_up(caller(), number))
    assert stub.asked("twilio", number) == 0
    stub.faults.dead = False
    assert ask(telnyx.look_up(caller(), number)) == MOBILE  # each service has its own


def test_quick_failures_do_not_cut_off_slow_answers(stub: Stub, settings: Any) -> None:
    settings.TRACKLY_LOOKUP_TIMEOUT, settings.TRACKLY_LOOKUP_TRIES = 30, 10
    stub.faults.delay, stub.faults.shares = 0.5, {"reset": 0.1}
    way, numbers = caller(), [new_number() for _ in range(200)]
    asked = [way.submit(twilio.look_up(way, number)) for number in numbers]
    assert {future.result() for future in asked} == {MOBILE}


def test_a_service_that_only_tells_us_to_wait_is_left_alone_too(stub: Stub, settings: Any) -> None:
    settings.TRACKLY_BREAKER_THRESHOLD = 2
    stub.faults.shares, stub.faults.retry_after = {"429": 1.0}, 3600
    for _ in range(2):
        with pytest.raises(OutboundError, match="less often"):
            ask(twilio.look_up(caller(), new_number()))
    with pytest.raises(CircuitOpen):
        ask(twilio.look_up(caller(), new_number()))


def test_where_all_sources_can_not_tell_that_is_the_answer(stub: Stub, monkeypatch: Any) -> None:
    async def can_not_tell(*_: Any) -> Line:
        raise OutboundError("a Canadian number", Failure.PERMANENT)

    monkeypatch.setitem(SOURCES, "twilio", can_not_tell)
    assert ask(first_answer(caller(), ["twilio"], "+16135550123")) == Line()


def test_the_next_source_answers_where_the_first_does_not(stub: Stub, settings: Any) -> None:
    settings.TWILIO_LOOKUPS_URL = f"http://127.0.0.1:{free_port()}"
    number = new_number()
    assert ask(first_answer(caller(), ["twilio", "telnyx"], number)) == MOBILE
    assert stub.asked("telnyx", number) == 1
    with pytest.raises(OutboundError, match="no answer"):
        ask(first_answer(caller(), ["twilio"], number))
    with pytest.raises(OutboundError, match="no source"):
        ask(first_answer(caller(), [], number))


def test_hundreds_are_under_way_at_once(stub: Stub, settings: Any) -> None:
    settings.TRACKLY_LOOKUP_TIMEOUT = stub.faults.delay = 600
    way, numbers = caller(), [new_number() for _ in range(200)]
    asked = [way.submit(twilio.look_up(way, number)) for number in numbers]
    eventually(lambda: stub.at_once == 200)
    stub.stopping.set()  # it answers all of them now
    assert {future.result() for future in asked} == {MOBILE}
