"""Twilio's Messages API: what is asked of it, and what its answers mean."""

import base64
import json
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.outbound import Failure, OutboundError, RateLimited, Request, Response
from core.outbound.calling import caller
from core.outbound.limit import Limit
from devstack.sandbox.server import Stub
from devstack.stack import Stack
from journeys.messages.gateways import Found, OptedOut, Outgoing, gateway, twilio
from tests.support import LIST, new_number

NOW = datetime(2026, 6, 15, 16, tzinfo=UTC)
SID = "SM0123456789abcdef0123456789abcdef"


def answer(status: int, code: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of Twilio's, with an error code or without a body."""
    body = {"code": code, "message": "…", "more_info": "…", "status": status}
    return Response(status=status, content=json.dumps(body).encode() if code else b"", headers=headers or {})


def ask(question: Coroutine[Any, Any, Any]) -> Any:
    return caller().submit(question).result()


@pytest.fixture
def own_redis(servers: Stack, settings: Any) -> None:
    settings.REDIS_URL = servers.environment["REDIS_URL"]


def test_a_message_that_was_taken_has_an_id() -> None:
    body = {"sid": SID, "status": "queued", "body": None, "error_code": None}
    assert twilio.read(Response(status=201, content=json.dumps(body).encode())) == SID


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (answer(400, 21211), Failure.PERMANENT),  # no such number
        (answer(400, 21614), Failure.PERMANENT),  # not a mobile
        (answer(400, 21610), Failure.PERMANENT),  # opted out
        (answer(400, 21612), Failure.PERMANENT),  # no route to it
        (answer(400, 21602), Failure.PERMANENT),  # no text
        (answer(400, 21617), Failure.PERMANENT),  # too long
        (answer(400, 21635), Failure.PERMANENT),  # a landline
        (answer(404, 20404), Failure.MISCONFIGURED),  # the path, or the account in it
        (answer(400, 20001), Failure.MISCONFIGURED),
        (answer(400, 21999), Failure.DEFERRED),  # a code that is not known
        (answer(403, 63999), Failure.DEFERRED),
        (answer(400, 21606), Failure.DEFERRED),  # the sender can't send
        (answer(400, 21659), Failure.DEFERRED),
        (answer(400, 21660), Failure.DEFERRED),
        (answer(400, 30034), Failure.DEFERRED),
        (answer(403, 30034), Failure.DEFERRED),
        (answer(400, 21611), Failure.DEFERRED),  # the sender's queue is full
        (answer(429, 21611), Failure.DEFERRED),
        (answer(429, 21611, headers={"Retry-After": "7"}), Failure.DEFERRED),
        (answer(401, 20003), Failure.MISCONFIGURED),
        (answer(403, 20005), Failure.MISCONFIGURED),  # the account is not active
        *(
            (answer(status), Failure.AMBIGUOUS)  # by whom? it may have passed the message on
            for status in (302, 400, 401, 403, 404, 405, 410, 422, 451, 500, 503)
        ),
        (answer(500, 20500), Failure.AMBIGUOUS),
        (answer(503, 20503), Failure.AMBIGUOUS),
        (answer(200), Failure.AMBIGUOUS),  # nothing was created, but what was done?
        (Response(status=201, content=b"<html>\xff\xfe It works!</html>"), Failure.RETRYABLE),
        (Response(status=201, content=b'{"sid": null}'), Failure.RETRYABLE),
        (Response(status=201, content=b'{"sid": "1"}'), Failure.RETRYABLE),
        (Response(status=400, content=b"<html>"), Failure.AMBIGUOUS),
        (Response(status=404, content=b'{"code": 21211}'), Failure.AMBIGUOUS),
    ],
)
def test_what_an_error_means(response: Response, failure: Failure) -> None:
    with pytest.raises(OutboundError) as caught:
        twilio.read(response)
    assert caught.value.failure is failure


def test_only_who_has_opted_out_has_opted_out() -> None:
    with pytest.raises(OptedOut):
        twilio.read(answer(400, 21610))
    with pytest.raises(OutboundError) as caught:
        twilio.read(answer(400, 21211))
    assert not isinstance(caught.value, OptedOut)
    assert "21211" in str(caught.value)


@pytest.mark.parametrize(
    ("response", "after"),
    [
        (answer(429, 20429, headers={"Retry-After": "7"}), 7),
        (answer(429, 20429), None),
        (answer(429), None),
        (answer(429, headers={"Retry-After": "7"}), 7),
        (answer(400, 20429), None),
    ],
)
def test_to_be_told_to_wait_is_no_refusal(response: Response, after: float | None) -> None:
    with pytest.raises(RateLimited) as caught:
        twilio.read(response)
    assert caught.value.after == after


class Recorder:
    """A caller that asks nobody."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Request]] = []

    async def ask(self, service: str, subject: str, request: Request, _: Any) -> str:
        self.asked.append((service, subject, request))
        return SID


@pytest.mark.parametrize(("key", "user"), [("", "AC0"), ("SK0", "SK0")])
def test_the_request_that_is_sent(settings: Any, key: str, user: str) -> None:
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC0", "a secret"
    settings.TWILIO_API_KEY, settings.TRACKLY_MESSAGE_TIMEOUT = key, 12.5
    settings.TWILIO_MESSAGES_URL = "https://api.twilio.com"
    recorder: Any = Recorder()
    sending = gateway("twilio").send(recorder, Outgoing(LIST, "+14155550123", "Hé & hello"))
    with pytest.raises(StopIteration) as returned:
        sending.send(None)
    assert returned.value.value == SID
    [(service, subject, request)] = recorder.asked
    assert (service, subject) == ("twilio_messages", "+14155550123")
    assert request == Request(
        method="POST",
        url="https://api.twilio.com/2010-04-01/Accounts/AC0/Messages.json",
        form={"To": "+14155550123", "From": LIST, "Body": "Hé & hello"},
        headers={"Authorization": "Basic " + base64.b64encode(f"{user}:a secret".encode()).decode()},
        once=True,
        patience=10,
        timeout=12.5,
    )


@pytest.mark.usefixtures("own_redis")
def test_what_is_sent_arrives_as_it_is(stub: Stub) -> None:
    message = Outgoing(LIST, new_number(), "Hé & hello + 50%\n👋")
    sid = ask(twilio.Twilio().send(caller(), message))
    [taken] = stub.messages.taken
    assert {name: taken[name] for name in ("sid", "from", "to", "body", "account_sid")} == {
        "sid": sid,
        "from": LIST,
        "to": message.to_number,
        "body": message.text,
        "account_sid": "sandbox",
    }


@pytest.mark.usefixtures("own_redis")
@pytest.mark.parametrize(
    ("to_number", "from_number", "failure"),
    [
        ("+15005550001", LIST, Failure.PERMANENT),
        ("+15005550004", LIST, Failure.PERMANENT),
        ("+15005550009", LIST, Failure.PERMANENT),
        ("+14155550123", "+15005550007", Failure.DEFERRED),
        ("+14155550123", "+15005550008", Failure.DEFERRED),
    ],
)
def test_numbers_that_twilio_refuses_in_tests_are_refused(
    stub: Stub, to_number: str, from_number: str, failure: Failure
) -> None:
    with pytest.raises(OutboundError) as caught:
        ask(twilio.Twilio().send(caller(), Outgoing(from_number, to_number, "Hello")))
    assert caught.value.failure is failure
    assert stub.messages.taken == []
    assert stub.asked("messages", to_number) == 1


@pytest.mark.usefixtures("own_redis")
@pytest.mark.parametrize("code", [21606, 21611])
def test_what_is_wrong_with_one_sender_slows_no_other(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    way = caller()
    asked_to_pause = noted_pauses(monkeypatch)
    refused = {21606: "+15005550007", 21611: "+15005550008"}[code]
    with pytest.raises(OutboundError, match=str(code)):
        ask(twilio.Twilio().send(way, Outgoing(refused, new_number(), "Hello")))
    assert asked_to_pause == []
    assert ask(twilio.Twilio().send(way, Outgoing(LIST, new_number(), "Hello")))
    assert len(stub.messages.taken) == 1


@pytest.mark.usefixtures("own_redis")
def test_to_be_asked_too_often_slows_all_senders(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.faults.shares, stub.faults.retry_after = {"429": 1.0}, 0
    asked_to_pause = noted_pauses(monkeypatch)
    with pytest.raises(OutboundError, match="less often"):
        ask(twilio.Twilio().send(caller(), Outgoing(LIST, new_number(), "Hello")))
    assert asked_to_pause == [0] * 5


def noted_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each pause that a service asks for from now on."""
    asked: list[float] = []

    async def pause(_: Limit, seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(Limit, "pause", pause)
    return asked


@pytest.mark.usefixtures("own_redis")
def test_a_message_is_found_by_its_numbers_its_text_and_its_time(stub: Stub) -> None:
    number, other = new_number(), new_number()
    moment = NOW
    stub.messages.clock = lambda: moment

    def taken(minutes: int, from_number: str, to_number: str, text: str) -> str:
        nonlocal moment
        moment = NOW + timedelta(minutes=minutes)
        return str(ask(twilio.Twilio().send(caller(), Outgoing(from_number, to_number, text))))

    def found(text: str, minutes: int = 0) -> list[str]:
        message = Outgoing(LIST, number, text)
        return list(ask(twilio.Twilio().find(caller(), message, 1, timedelta(minutes=minutes))).same)

    before = taken(-10, LIST, number, "Hello")
    first = taken(0, LIST, number, "Hello")
    taken(1, LIST, other, "Hello")
    taken(1, "+18005559999", number, "Hello")
    bye = taken(1, LIST, number, "Bye ")
    second = taken(2, LIST, number, "Hello")
    assert found("Hello", minutes=2) == [second, first]
    assert found("Hello", minutes=12) == [second, first, before]
    assert found("Hello", minutes=1) == [second, first]  # what two of Twilio's machines say may differ
    assert found("Hello") == [second]
    assert found("Bye", minutes=2) == [bye]  # Twilio may keep a text without the spaces around it
    assert found("hello", minutes=2) == []


def listed(stub: Stub, *texts: str, number: str = "") -> tuple[Outgoing, list[str]]:
    """A message, and what the list has of these texts to its number, newest first."""
    message = Outgoing(LIST, number or new_number(), "Hello")
    form = {"To": message.to_number, "From": LIST}
    sids = [stub.messages.post("sandbox", {**form, "Body": text})[1]["sid"] for text in texts]
    return message, sids[::-1]


def find(message: Outgoing, age: timedelta = timedelta(hours=1)) -> Found:
    found: Found = ask(twilio.Twilio().find(caller(), message, 1, age))
    return found


@pytest.mark.usefixtures("own_redis")
@pytest.mark.parametrize(
    "skew", [timedelta(minutes=-10), timedelta(0), timedelta(minutes=10), timedelta(days=9)]
)
def test_twilios_clock_need_not_agree_with_ours(stub: Stub, skew: timedelta) -> None:
    stub.messages.clock = lambda: datetime.now(UTC) + skew
    message, sids = listed(stub, "Hello")
    assert find(message, timedelta(0)) == Found(sids, [])


@pytest.mark.usefixtures("own_redis")
@pytest.mark.parametrize("date", [None, "", "yesterday", "2026-06-15"])
def test_a_message_without_a_time_may_be_ours(stub: Stub, date: str | None) -> None:
    message, sids = listed(stub, "Hello")
    stub.messages.taken[0]["date_created"] = date
    assert find(message, timedelta(0)) == Found(sids, [])


@pytest.mark.usefixtures("own_redis")
def test_a_time_without_a_zone_is_utc(stub: Stub) -> None:
    message, sids = listed(stub, "Hello")
    stub.messages.taken[0]["date_created"] = "Mon, 15 Jun 2026 16:00:00 -0000"  # RFC 5322: in UTC
    stub.messages.clock = lambda: NOW + timedelta(minutes=10)
    assert find(message, timedelta(minutes=9)) == Found(sids, [])
    assert find(message, timedelta(minutes=8)) == Found()


@pytest.mark.usefixtures("own_redis")
def test_where_texts_are_hidden_every_message_to_the_number_may_be_it(stub: Stub) -> None:
    message, sids = listed(stub, "Hello", "Bye")
    listed(stub, "Hello")
    stub.messages.hides_texts = True
    assert find(message) == Found([], sids)


@pytest.mark.usefixtures("own_redis")
@pytest.mark.parametrize(
    ("number", "is_certain"), [("+14155550999", False), ("+14155560999", True), ("+441415550999", True)]
)
def test_where_digits_are_hidden_a_number_that_looks_alike_leaves_a_doubt(
    stub: Stub, number: str, is_certain: bool
) -> None:
    listed(stub, "Hello", number="+14155550123")
    stub.messages.hides_digits = True
    found = find(Outgoing(LIST, number, "Hello"))
    assert (found.same, found.unreadable, not found.doubt) == ((), (), is_certain)


@pytest.mark.usefixtures("own_redis")
def test_a_list_that_goes_on_leaves_a_doubt_unless_what_follows_is_too_old(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio, "_PAGE_SIZE", 3)
    moment = NOW
    stub.messages.clock = lambda: moment
    message, _ = listed(stub, "One", "Two")
    moment += timedelta(minutes=10)
    listed(stub, "Three", "Four", number=message.to_number)
    assert find(message, timedelta(minutes=8)) == Found()
    assert find(message, timedelta(minutes=10)).doubt


@pytest.mark.usefixtures("own_redis")
@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [], "uri": "/2010-04-01/Accounts/another/Messages.json?Page=0", "next_page_uri": None},
        {"uri": "/2010-04-01/Accounts/sandbox/Messages.json", "next_page_uri": None},
        {
            "messages": [{"sid": "SM0"}],
            "uri": "/2010-04-01/Accounts/sandbox/Messages.json",
            "next_page_uri": None,
        },
    ],
)
def test_a_list_that_is_not_as_documented_tells_nothing(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    monkeypatch.setattr(stub.messages, "page", lambda *_: (200, body))
    with pytest.raises(OutboundError, match="does not document"):
        find(Outgoing(LIST, new_number(), "Hello"))


@pytest.mark.usefixtures("own_redis")
def test_the_list_is_asked_for_again_where_it_is_not_answered(stub: Stub) -> None:
    message = Outgoing(LIST, new_number(), "Hello")
    sid = ask(twilio.Twilio().send(caller(), message))
    stub.faults.shares = {"reset": 1.0}
    with pytest.raises(OutboundError) as caught:
        find(message)
    assert caught.value.failure is Failure.RETRYABLE
    assert stub.log.outcomes["messages_list", message.to_number] == {"reset": 3}
    stub.faults.shares = {}
    assert find(message) == Found([sid], [])


def test_the_stub_lists_only_what_a_page_holds_and_asks_for_credentials(stub: Stub) -> None:
    form = {"To": new_number(), "From": LIST, "Body": "Hello"}
    sids = [stub.messages.post("AC0", form)[1]["sid"] for _ in range(3)]
    status, page = stub.messages.page("AC0", {"PageSize": "2"})
    assert (status, page["page"], page["page_size"]) == (200, 0, 2)
    assert [message["sid"] for message in page["messages"]] == [sids[2], sids[1]]
    without = {name: value for name, value in form.items() if name != "Body"}
    assert stub.messages.post("AC0", without)[1]["code"] == 21602
    assert stub.messages.counted() == {form["To"]: 3}


@pytest.mark.usefixtures("own_redis")
def test_the_stub_refuses_who_does_not_say_who_he_is(stub: Stub) -> None:
    url = f"{base_of(stub)}/2010-04-01/Accounts/AC0/Messages.json"
    request = Request(method="POST", url=url, form={"To": "+1", "From": "+1", "Body": "x"}, once=True)
    with pytest.raises(OutboundError) as caught:
        ask(caller().ask("twilio_messages", "+1", request, twilio.read))
    assert caught.value.failure is Failure.MISCONFIGURED
    assert stub.messages.taken == []


def base_of(stub: Stub) -> str:
    return f"http://127.0.0.1:{stub.server_port}"
