"""How long a client may take, and how much it may send (trackly.web): on a server in this process."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
from uvicorn import Config, Server

from trackly.web import threaded, worker
from trackly.web.threaded import Threaded
from trackly.web.worker import Protocol

StartResponse = Callable[[str, list[tuple[str, str]]], object]


class _Streamed:
    """A streamed answer of a given size, which notes that it was closed."""

    streaming = True

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces
        self.made = 0
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._pieces):
            self.made += 1
            yield b"x" * 100_000

    def close(self) -> None:
        self.closed.set()


class _Large(list[bytes]):
    """An answer that is made at once, as Django's are that are not streamed."""

    streaming = False


class _Application:
    """A WSGI application that says what it was sent, or streams, or waits."""

    def __init__(self) -> None:
        self.streamed = _Streamed(1000)
        self.seen: list[dict[str, Any]] = []
        self.may_answer = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        self.seen.append({name: value for name, value in environ.items() if isinstance(value, str)})
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/stream":
            return self.streamed
        if environ["PATH_INFO"] == "/wait":
            self.may_answer.wait(60)
        if environ["PATH_INFO"] == "/large":
            return _Large([b"x" * 50_000_000])
        return [str(len(environ["wsgi.input"].read())).encode()]


class _Running:
    def __init__(self, server: Server, port: int, application: _Application) -> None:
        self.server, self.port, self.application = server, port, application

    def talk(self, *pieces: bytes, reads: bool = True) -> bytes:
        """Send the pieces on a connection; all that comes back until the server closes it."""
        return asyncio.run(asyncio.wait_for(self._talk(pieces, reads=reads), 60))

    async def _talk(self, pieces: Iterable[bytes], *, reads: bool) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**16)
        seen = len(self.application.seen)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if reads:
                return await reader.read(-1)
            await _until(lambda: len(self.application.seen) > seen)
            while self.server.server_state.connections:  # noqa: ASYNC110 - the server's own set
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
        return b""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    for module, name in (
        (worker, "HEAD_SECONDS"),
        (worker, "LINGER_SECONDS"),
        (worker, "WRITE_SECONDS"),
        (threaded, "BODY_SECONDS"),
        (threaded, "SEND_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.3)
    return _serve


@contextmanager
def _serve() -> Iterator[_Running]:
    application = _Application()
    config = Config(
        Threaded(application, max_body=1_000_000), http=Protocol, lifespan="off", ws="none", log_config=None
    )
    server = Server(config)
    port: Future[int] = Future()

    async def run() -> None:
        config.load()
        loop = asyncio.get_running_loop()
        serving = loop.create_task(server._serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        port.set_result(server.servers[0].sockets[0].getsockname()[1])
        await serving

    config.port = 0
    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield _Running(server, port.result(), application)
    finally:
        application.may_answer.set()
        server.force_exit = server.should_exit = True
        thread.join()


def _refusal(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"X-Request-Id" in head or b"x-request-id" in head
    return int(head.split()[1]), json.loads(body)["code"]


def _post(length: int | str) -> bytes:
    return f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_has_a_deadline(serve: Callable[[], Any], begun: bytes) -> None:
    with serve() as running:
        answer = running.talk(begun)
        assert answer == b"" if not begun else _refusal(answer) == (408, "invalid_request")
        assert running.application.seen == []


def test_the_second_head_of_a_connection_has_one_too(serve: Callable[[], Any]) -> None:
    with serve() as running:
        answer = running.talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP")
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.count(b"HTTP/1.1 408 ") == 1


def test_a_head_that_begins_while_an_answer_leaves_has_one_too(serve: Callable[[], Any]) -> None:
    async def talk(running: _Running) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=2**16)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        [connection] = await _until(lambda: running.server.server_state.connections)
        await _until(lambda: connection._unsent)
        writer.write(b"GET / HTTP")
        answer = await reader.read(-1)
        writer.transport.abort()
        return answer

    with serve() as running:
        answer = asyncio.run(asyncio.wait_for(talk(running), 60))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.count(b"HTTP/1.1 408 ") == 1


async def _until(look: Callable[[], Any]) -> Any:
    while not (found := look()):  # noqa: ASYNC110 - the server says it by nothing else
        await asyncio.sleep(0.01)
    return found


@pytest.mark.parametrize(
    ("next_request", "status"),
    [
        (b"GET / HTTP", 408),
        (b"NO HTTP\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n", 400),
    ],
)
def test_a_refusal_is_no_answer_to_the_request_before(
    serve: Callable[[], Any], next_request: bytes, status: int
) -> None:
    """A batch that was accepted and waits for its result would else be answered as if it had been refused."""

    async def talk(running: _Running) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await _until(lambda: running.application.seen)
        [connection] = running.server.server_state.connections
        assert isinstance(connection, Protocol)
        writer.write(next_request)
        await _until(lambda: connection.transport.is_closing() or connection._last_words)
        running.application.may_answer.set()
        answer = await reader.read(-1)
        writer.transport.abort()
        return answer

    with serve() as running:
        first, second, *more = asyncio.run(asyncio.wait_for(talk(running), 60)).split(b"HTTP/1.1 ")[1:]
        assert first.startswith(b"200 OK")
        assert int(second.split()[0]) == status
        assert not more
        assert len(running.application.seen) == 1


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("is_split", [False, True])
def test_another_protocol_is_not_switched_to(
    serve: Callable[[], Any], protocol: bytes, *, is_split: bool
) -> None:
    """Java's client asks for HTTP/2 so; the body of its request was dropped, or taken for a request."""
    body = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    head = _post(len(body)).replace(b"\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n", 1)
    last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    async def talk(running: _Running) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(head)
        if is_split:
            [connection] = await _until(lambda: running.server.server_state.connections)
            await _until(lambda: connection.cycle)  # the head has been read
        writer.write(body + last)
        answer = await reader.read(-1)
        writer.transport.abort()
        return answer

    with serve() as running:
        answer = asyncio.run(asyncio.wait_for(talk(running), 60))
        assert [request["PATH_INFO"] for request in running.application.seen] == ["/", "/last"]
        first, second = answer.split(b"HTTP/1.1 ")[1:]
        assert first.startswith(b"200 OK")
        assert str(len(body)).encode() in first.partition(b"\r\n\r\n")[2]
        assert second.startswith(b"200 OK")


def test_a_body_has_a_deadline_that_no_drip_puts_off(serve: Callable[[], Any]) -> None:
    with serve() as running:
        answer = running.talk(_post(1000), b"a", b"b")
        assert _refusal(answer) == (408, "invalid_request")
        assert running.application.seen == []


def test_what_has_come_of_a_body_buys_no_time_for_the_rest(serve: Callable[[], Any]) -> None:
    """Nearly all of it at once, then nothing: it was kept for eight minutes, of any client, without a key."""

    async def talk(running: _Running) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(_post(1_000_000) + b"x" * 999_000)
        answer = await reader.read(-1)
        writer.transport.abort()
        return answer

    with serve() as running:
        assert _refusal(asyncio.run(asyncio.wait_for(talk(running), 60))) == (408, "invalid_request")
        assert running.application.seen == []


def test_a_body_that_keeps_coming_has_time(serve: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece that comes at the rate puts the deadline off by as much as there was at first."""
    put_off: list[float | None] = []
    reschedule = asyncio.Timeout.reschedule

    def noted(deadline: asyncio.Timeout, when: float | None) -> None:
        put_off.append(when)
        reschedule(deadline, when)

    async def talk(running: _Running) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(_post(6_000))
        for pieces in range(1, 4):
            await _until(lambda: len(set(put_off)) >= pieces)  # noqa: B023 - it is over before the next
            writer.write(b"x" * 2_000)
        answer = await reader.readuntil(b"\r\n6000\r\n0\r\n\r\n")
        writer.transport.abort()
        return answer

    monkeypatch.setattr(threaded, "BODY_SECONDS", 20.0)
    monkeypatch.setattr(threaded, "BODY_BYTES_A_SECOND", 100)
    with serve() as running:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.Timeout, "reschedule", noted)
            answer = asyncio.run(asyncio.wait_for(talk(running), 60))
        assert answer.startswith(b"HTTP/1.1 200 OK")


def test_bodies_on_their_way_have_a_bound_together(
    serve: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that began first is refused; the others go on."""
    monkeypatch.setattr(threaded, "BODY_SECONDS", 600.0)
    monkeypatch.setattr(threaded, "MAX_ARRIVING", 500_000)

    async def talk(running: _Running) -> tuple[bytes, bytes]:
        first, first_writer = await asyncio.open_connection("127.0.0.1", running.port)
        first_writer.write(_post(900_000) + b"x" * 300_000)
        [connection] = await _until(lambda: running.server.server_state.connections)
        await _until(lambda: connection.cycle and not connection.cycle.body)
        second, second_writer = await asyncio.open_connection("127.0.0.1", running.port)
        second_writer.write(_post(400_000) + b"x" * 300_000)
        refused = await first.read(-1)
        second_writer.write(b"x" * 100_000)
        answered = await second.readuntil(b"400000")
        for writer in (first_writer, second_writer):
            writer.transport.abort()
        return refused, answered

    with serve() as running:
        refused, answered = asyncio.run(asyncio.wait_for(talk(running), 60))
        assert _refusal(refused) == (408, "invalid_request")
        assert answered.startswith(b"HTTP/1.1 200 OK")


def test_a_body_that_declares_too_much_is_not_received(serve: Callable[[], Any]) -> None:
    with serve() as running:
        answer = running.talk(_post(2_000_000), b"x" * 10)
        assert answer.startswith(b"HTTP/1.1 200 OK")  # the application refuses it, by its length
        assert running.application.seen[0]["CONTENT_LENGTH"] == "2000000"
        assert answer.endswith(b"\r\n\r\n1\r\n0\r\n0\r\n\r\n")


def test_a_body_of_unknown_length_is_received_to_just_beyond_the_limit(serve: Callable[[], Any]) -> None:
    chunk = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
    with serve() as running:
        running.talk(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", *[chunk] * 200)
        assert 1_000_000 < int(running.application.seen[0]["CONTENT_LENGTH"]) < 1_500_000


@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nLong: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nEndless: " + b"x" * 100_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (_post("-1"), 400),
    ],
)
def test_a_head_has_a_size(serve: Callable[[], Any], sent: bytes, refusal: int) -> None:
    with serve() as running:
        assert _refusal(running.talk(sent)) == (refusal, "invalid_request")
        assert running.application.seen == []


def test_a_large_answer_that_is_never_read_is_dropped(serve: Callable[[], Any]) -> None:
    with serve() as running:
        running.talk(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n", reads=False)
        running.talk(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", reads=False)
        assert not running.server.server_state.connections


def test_a_streamed_answer_that_is_never_read_is_dropped(serve: Callable[[], Any]) -> None:
    with serve() as running:
        running.talk(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", reads=False)
        assert running.application.streamed.closed.wait(30)
        assert running.application.streamed.made < 1000


def test_a_client_that_leaves_ends_its_streamed_answer(serve: Callable[[], Any]) -> None:
    async def leave(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readexactly(1000)
        writer.transport.abort()

    with serve() as running:
        asyncio.run(leave(running.port))
        assert running.application.streamed.closed.wait(30)
        assert running.application.streamed.made < 1000


def test_a_streamed_answer_arrives_whole(serve: Callable[[], Any]) -> None:
    with serve() as running:
        answer = running.talk(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.count(b"x") >= 100_000_000
        assert answer.endswith(b"\r\n0\r\n\r\n")
        assert running.application.streamed.closed.is_set()


def test_too_many_requests_that_wait_for_a_thread_are_refused(
    serve: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threaded, "MAX_QUEUED", -threaded.THREADS)
    with serve() as running:
        answer = running.talk(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert _refusal(answer) == (503, "unavailable")
        assert b"retry-after: 5" in answer
