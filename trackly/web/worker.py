"""gunicorn's worker process: uvicorn with limits on what a client can send and how long it may take."""

import asyncio
from collections.abc import Callable

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

from core.http.codes import ErrorCode
from trackly.web.refusal import refusal

HEAD_SECONDS = 10.0
"""For the request line and the headers, from the connection or the head's first byte on."""
LINGER_SECONDS = 5.0
LINGER_BYTES = 5_000_000
"""For the rest of a body whose answer is given already, such as a 413: it is discarded, because many clients
look at an answer only once they have sent all; more of it is not read."""
WRITE_SECONDS = 30.0
"""Without a byte taken by the client, after which the rest of an answer is dropped."""
MAX_LINE_BYTES = 8_190
"""Of the request's target, and of a header with its name."""
MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 100

_REASONS = {
    400: "it is no valid HTTP",
    408: "its head took too long to arrive",
    414: f"its target exceeds {MAX_LINE_BYTES:,} bytes",
    431: f"it has more than {MAX_HEADERS} headers, one of over {MAX_LINE_BYTES:,} bytes, or too many bytes",
}


class _Deadline:
    """A call that is made in so many seconds unless it is cancelled, or set anew, before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._handle is not None

    def set(self, seconds: float, then: Callable[[], object]) -> None:
        self.cancel()
        self._handle = self._loop.call_later(seconds, self._passed, then)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _passed(self, then: Callable[[], object]) -> None:
        self._handle = None
        then()


class Protocol(HttpToolsProtocol):
    """A client's connection. uvicorn parses HTTP and knows no deadlines but that of idle connections.

    One deadline is for what the client has to send (a head, the rest of an answered body), another for what
    it has to read: an answer may still leave while the next request arrives.
    """

    _head_bytes = 0
    _in_head = True
    _in_body = False
    _refusal = 400
    _unsent = 0
    _discarded = 0
    _is_read_again = False
    _last_words: bytes | None = None
    """A refusal that waits for the answers to the requests before."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arrival, self._departure = _Deadline(self.loop), _Deadline(self.loop)
        self._arrival.set(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrival.cancel()
        self._departure.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._last_words is not None:
            return
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return
        if self._in_head and self.parser is not None and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431)
        elif self._in_body and self.cycle.response_complete:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.transport.abort()

    def _parse(self, data: bytes) -> None:
        """Have the parser read what has come; a wish for another protocol counts as not uttered.

        A server may ignore `Upgrade` (RFC 9110, 7.8), which Java's client sends with each first request. But
        httptools takes the body of such a request for the next request (and uvicorn would drop what came with
        the head): its head is read a second time, without that header. Raises HttpParserError.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as exc:
                data = self._head_without_upgrade() + data[exc.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    # --- What the parser finds --------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._refusal = True, 0, 400
        if not self._arrival.is_set:  # since the connection was made
            self._arrival.set(HEAD_SECONDS, self._head_is_late)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_LINE_BYTES:
            self._refusal = 414
            raise httptools.HttpParserError(_REASONS[414])

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) + len(value) > MAX_LINE_BYTES or len(self.headers) >= MAX_HEADERS:
            self._refusal = 431
            raise httptools.HttpParserError(_REASONS[431])
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":  # which would be an upgrade without the header, too
                raise httptools.HttpParserError(_REASONS[400])
            self._is_read_again = True
            return
        self._arrival.cancel()
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._is_read_again:
            self._is_read_again = False
            return
        self._in_body = False
        self._arrival.cancel()  # of a body that was answered before its end
        super().on_message_complete()

    # --- Deadlines --------------------------------------------------------------------------------------

    def _head_is_late(self) -> None:
        if self._head_bytes:
            self._refuse(408)
        else:
            self.transport.abort()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._last_words is not None:
            self._end_with(self._last_words)
        self._unsent = self.transport.get_write_buffer_size()
        if self._unsent:
            self._departure.set(WRITE_SECONDS, self._check_progress)
        elif self._in_body and not self.transport.is_closing():
            self._arrival.set(LINGER_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """A streamed answer waits for the client, who may have stopped reading for good."""
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._departure.set(WRITE_SECONDS, self._check_progress)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.cycle is None or not self.cycle.response_complete:
            self._departure.cancel()

    def _check_progress(self) -> None:
        """Drop the connection if the client has taken nothing of the answer lately."""
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent and self._unsent >= before:
            self.transport.abort()
        elif self._unsent:
            self._departure.set(WRITE_SECONDS, self._check_progress)

    def _refuse(self, status: int) -> None:
        """Answer what never becomes a request of the application's, in the API's envelope, and close.

        Answers come in the order of the requests: while there are some to come, this one waits for them.
        """
        self._arrival.cancel()
        in_body = self.cycle is not None and self._in_body and not self._in_head
        if in_body and self.cycle.response_started:
            self.transport.abort()
            return
        is_next = not self.pipeline if in_body else self.cycle is None or self.cycle.response_complete
        if in_body and is_next:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif in_body:
            self.pipeline.popleft()  # the request itself: it is not to be begun
        code = ErrorCode.INVALID_JSON if in_body else ErrorCode.INVALID_REQUEST
        what = "its body could not be read to its end" if in_body else _REASONS[status]
        headers, body = refusal(code, f"The request can't be handled: {what}.", (b"connection", b"close"))
        lines = [f"HTTP/1.1 {status} Refused".encode(), *(b": ".join(header) for header in headers)]
        answer = b"\r\n".join([*lines, b"", body])
        if is_next:
            self._end_with(answer)
        else:
            self._last_words = answer
            self.flow.pause_reading()

    def _end_with(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()


class Worker(UvicornWorker):  # type: ignore[misc] # ships no types
    """gunicorn finds it by its name (trackly.web.server).

    Its loop is asyncio's own. uvloop accepts one connection in each of its rounds (libuv since 1.45): where
    many come at once and bring work, each round takes long, and the next client waits for all before.
    """

    CONFIG_KWARGS = {
        "loop": "asyncio",
        "http": Protocol,
        "ws": "none",
        "lifespan": "off",
        "access_log": False,
        "proxy_headers": False,  # settings.TRACKLY_BEHIND_PROXY, and a proxy on this machine is no exception
        "server_header": False,
        "timeout_graceful_shutdown": 35,
    }
