"""A WSGI application behind an ASGI server: bodies are received and answers sent by the event loop.

asgiref's `WsgiToAsgi` does this without limits and sends from the application's thread, which a client that
does not read would hold.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from django.db import close_old_connections

from core.http.codes import ErrorCode
from trackly.web.refusal import refusal

Scope = dict[str, Any]

THREADS = 16
"""Of each process. TRACKLY_MAX_WAITERS must leave some of them to others."""
MAX_QUEUED = 512
"""Requests of a process that have arrived and wait for a thread; beyond it the answer is 503."""
BODY_SECONDS = 20.0
BODY_BYTES_A_SECOND = 2_000
"""A body has BODY_SECONDS, and as many more each time that it has come at this rate meanwhile. What has come
earlier buys no time: a client could else send nearly all of a body at once, and have it kept for long."""
MAX_ARRIVING = 200_000_000
"""Bytes of bodies that have not arrived completely, of all clients of a process: beyond it the one that began
first is refused. Clients need no key to begin one, and most bodies are complete within a second."""
SEND_SECONDS = 60.0
"""For a piece of a streamed answer to leave."""
_IN_MEMORY = 1_000_000
_PIECE = 65_536


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: Iterable[bytes]

    @property
    def is_streamed(self) -> bool:
        """Whether to make all of it at once could take long, or much memory."""
        return bool(getattr(self.body, "streaming", True))

    def close(self) -> None:
        """Tell the application that the answer has ended: Django hands its connections back then."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()


class _Refused(Exception):
    """A request that is answered without the application."""

    def __init__(self, status: int, code: ErrorCode, message: str, header: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.headers, self.body = refusal(code, message, header)


def _too_slow() -> _Refused:
    message = "The request's body took too long to arrive."
    return _Refused(408, ErrorCode.INVALID_REQUEST, message, (b"connection", b"close"))


class Threaded:
    """The ASGI application that runs `wsgi` in threads of its own.

    `max_body`: bytes of a body that are received at most. A body that declares more is not received at all,
    of one that turns out to be larger one byte more: the application sees either, and refuses it.
    """

    def __init__(self, wsgi: Any, *, max_body: int) -> None:
        self._wsgi = wsgi
        self._max_body = max_body
        self._pool: ThreadPoolExecutor | None = None
        self._queued = 0
        self._arriving: dict[asyncio.Timeout, int] = {}
        """The bodies that are on their way, by their deadlines, the oldest first: bytes that have come."""
        self._arrived = 0
        """Of all of them together."""

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        try:
            with SpooledTemporaryFile(max_size=_IN_MEMORY) as body:
                size = await self._receive(scope, receive, body)
                if size is not None:
                    self._require_room()
                    answer = await self._in_thread(self._call, environ_of(scope, body, size))
                    await self._send(answer, receive, send)
        except _Refused as exc:
            await send({"type": "http.response.start", "status": exc.status, "headers": exc.headers})
            await send({"type": "http.response.body", "body": exc.body})

    def _require_room(self) -> None:
        """Raise _Refused (503) if too many requests wait for a thread."""
        if self._queued >= THREADS + MAX_QUEUED:
            message = "The service is too busy. Nothing was accepted; send it again."
            raise _Refused(503, ErrorCode.UNAVAILABLE, message, (b"retry-after", b"5"))

    async def _receive(self, scope: Scope, receive: Any, body: IO[bytes]) -> int | None:
        """Receive the body; its length, or None if the client has left. Raises _Refused if it is too slow."""
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if int(declared) > self._max_body:
            return int(declared)
        try:
            async with asyncio.timeout(BODY_SECONDS) as deadline:
                self._arriving[deadline] = 0
                return await self._received(receive, body, deadline)
        except TimeoutError:
            raise _too_slow() from None
        finally:
            self._arrived -= self._arriving.pop(deadline, 0)

    async def _received(self, receive: Any, body: IO[bytes], deadline: asyncio.Timeout) -> int | None:
        """The same, without its end; puts off the deadline as long as enough comes."""
        loop = asyncio.get_running_loop()
        size = in_time = 0
        while size <= self._max_body:
            message = await receive()
            if message["type"] != "http.request":
                return None
            size += body.write(message["body"])
            if not message["more_body"]:
                break
            self._note_arrival(deadline, len(message["body"]))
            if size - in_time >= BODY_SECONDS * BODY_BYTES_A_SECOND:
                in_time = size
                deadline.reschedule(loop.time() + BODY_SECONDS)
        body.seek(0)
        return size

    def _note_arrival(self, deadline: asyncio.Timeout, count: int) -> None:
        """Count bytes of a body; where there are too many, end the wait for the oldest bodies."""
        if deadline in self._arriving:
            self._arriving[deadline] += count
            self._arrived += count
        while self._arrived > MAX_ARRIVING:
            oldest = next(iter(self._arriving))
            self._arrived -= self._arriving.pop(oldest)
            oldest.reschedule(asyncio.get_running_loop().time())

    async def _in_thread(self, call: Any, *arguments: Any) -> Any:
        if self._pool is None:  # of this process: the application is loaded before it is forked
            self._pool = ThreadPoolExecutor(THREADS, "request")
        self._queued += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)
        finally:
            self._queued -= 1

    def _call(self, environ: dict[str, Any]) -> _Answer:
        """Have the application answer; in a thread. What is not streamed is complete when this returns."""
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            started[:] = [int(status.partition(" ")[0]), encoded]

        answer = _Answer(0, [], self._wsgi(environ, start_response))
        body = answer.body
        if not answer.is_streamed:
            try:
                body = [b"".join(answer.body)]
            finally:
                answer.close()
        return _Answer(started[0], started[1], body)

    async def _send(self, answer: _Answer, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if isinstance(answer.body, list):
            await send({"type": "http.response.body", "body": answer.body[0]})
            return
        gone = asyncio.ensure_future(receive())
        pieces = iter(answer.body)
        try:
            more = True
            while more and not gone.done():
                piece, more = await self._in_thread(_next_piece, pieces)
                message = {"type": "http.response.body", "body": piece, "more_body": more}
                await asyncio.wait_for(send(message), SEND_SECONDS)
        finally:
            gone.cancel()
            await self._in_thread(answer.close)


def _next_piece(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """The next bytes of a streamed answer, and whether there may be more.

    The next call may be in another thread, and much later: no connection to the database is kept till then.
    """
    made = bytearray()
    try:
        for piece in pieces:
            made += piece
            if len(made) >= _PIECE:
                return bytes(made), True
    finally:
        close_old_connections()
    return bytes(made), False


def environ_of(scope: Scope, body: IO[bytes], size: int) -> dict[str, Any]:
    """The request as PEP 3333 has it; `size` is the body's length, received or declared.

    Headers with an underscore in their name are left out: they would pass for those with a hyphen.
    """
    server, client = scope.get("server") or ("localhost", 80), scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name:
            continue
        name = f"HTTP_{raw_name.decode('latin-1').upper().replace('-', '_')}"
        value = raw_value.decode("latin-1")
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(size)
    return environ
