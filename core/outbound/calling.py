"""A process's way out: one event loop in a thread of its own, connections that are used again.

Workers' tasks are plain functions in threads or processes; hundreds of their questions are under way at once
in one loop. A question costs it less CPU than a thread or a greenlet would (tests/benchmarks/look_ups.py),
and a worker needs a thread, a task and a database connection per slice, not per number. Connections, and
their TLS, outlive a question.
"""

import asyncio
import os
import random
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from django.conf import settings

from core.outbound.breaker import Breaker
from core.outbound.errors import Failure, OutboundError, RateLimited, RateLimitTimeout
from core.outbound.limit import Limit
from core.outbound.retry import LONGEST_WAIT, MOST_WAITS, backoff
from core.outbound.session import Request, Response
from core.outbound.ticks import boot_clock

T = TypeVar("T")


class _Body(aiohttp.BytesPayload):
    """A form, which is not written after `until` (by boot_clock).

    A process can stand still anywhere: waiting for a connection, or with one in its hands. This is the last
    point before the bytes are the kernel's, and what goes before it (head and all) makes no request.
    """

    def __init__(self, form: Mapping[str, str], until: float | None) -> None:
        super().__init__(urlencode(form).encode(), content_type="application/x-www-form-urlencoded")
        self._until = until
        self.is_late = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if self._until is not None and boot_clock() > self._until:
            self.is_late = True
            raise TooLate
        await super().write_with_length(writer, content_length)


class TooLate(Exception):
    """The request was not written."""


class Caller:
    """Asks services, with this product's discipline: time-outs, retries, a shared rate, a circuit breaker."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._services: dict[str, tuple[Breaker, Limit]] = {}
        self._in_flight = asyncio.Semaphore(settings.TRACKLY_LOOKUPS_IN_FLIGHT)
        self._session: aiohttp.ClientSession | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="outbound", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run `work` in the loop; from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def ask(
        self,
        service: str,
        subject: str,
        request: Request,
        read: Callable[[Response], T],
        *,
        tells: Callable[[T], bool] | None = None,
    ) -> T:
        """Send `request` until `read` makes an answer of the response.

        At most TRACKLY_LOOKUP_TRIES tries fail, at most five more are told to wait (429). `subject` is what
        the question is about. `read` raises OutboundError and RateLimited; so does this, but for RateLimited.
        `tells`: whether an answer says anything about its subject; given, a long run of answers that don't
        opens the circuit, PERMANENT among them.
        """
        breaker, limit = self._service(service)

        async def work() -> T:
            failed = waited = 0
            while True:
                await self._turn(limit, request)
                until = await request.permit() if request.permit else None
                try:
                    answer = await self._try(request, read, until)
                except RateLimited as exc:
                    waited += 1
                    seconds = backoff(waited + 2) if exc.after is None else exc.after * random.uniform(1, 1.2)
                    if waited > MOST_WAITS or seconds > LONGEST_WAIT or breaker.is_open:
                        failure = OutboundError("asks to be asked less often", Failure.RETRYABLE)
                        breaker.failed(subject, failure)
                        raise failure from exc
                    await limit.pause(seconds)
                except OutboundError as exc:
                    if exc.failure in (Failure.PERMANENT, Failure.DEFERRED):
                        told = tells is None or exc.failure is Failure.DEFERRED
                        breaker.answered(subject, told=told, why=exc)
                        raise
                    failed += 1
                    is_final = exc.failure in (Failure.MISCONFIGURED, Failure.AMBIGUOUS)
                    gives_up = is_final or failed >= settings.TRACKLY_LOOKUP_TRIES
                    if gives_up or failed > 1 or breaker.is_open:  # one failure is nothing yet
                        breaker.failed(subject, exc)
                    if gives_up or breaker.is_open:
                        raise
                    await asyncio.sleep(backoff(failed))
                else:
                    breaker.answered(subject, told=tells is None or tells(answer))
                    return answer

        return await breaker.guard(work)

    @staticmethod
    async def _turn(limit: Limit, request: Request) -> None:
        try:
            async with asyncio.timeout(request.patience):
                await limit.turn()
        except TimeoutError:
            raise RateLimitTimeout from None

    async def _try(self, request: Request, read: Callable[[Response], T], until: float | None) -> T:
        body = _Body(request.form, until) if request.form is not None else None
        async with self._in_flight:
            try:
                async with asyncio.timeout(request.timeout or settings.TRACKLY_LOOKUP_TIMEOUT):
                    response = await self._send(request, body)
            except (aiohttp.ClientError, TimeoutError) as exc:
                if body is not None and body.is_late:
                    raise RateLimitTimeout from None
                arrived = not isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
                failure = Failure.AMBIGUOUS if request.once and arrived else Failure.RETRYABLE
                # Not `from exc`: its message names the URL, and so the number.
                raise OutboundError(f"no answer: {type(exc).__name__}", failure) from None
            except asyncio.CancelledError:  # by the breaker, which opens: the request is on its way
                if request.once:
                    raise OutboundError("no answer was waited for", Failure.AMBIGUOUS) from None
                raise
        try:
            return read(response)
        except OutboundError as exc:
            if request.once and exc.failure is Failure.RETRYABLE:
                raise OutboundError(str(exc), Failure.AMBIGUOUS) from exc
            raise

    async def _send(self, request: Request, body: "_Body | None") -> Response:
        if self._session is None:
            self._session = session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # the semaphore is the limit
                # Each try has one as a whole; this one is for what was never sent.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.TRACKLY_LOOKUP_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
                # The sandbox is on the loopback, where no proxy must get to see a number.
                trust_env=not settings.TRACKLY_SANDBOX,
            )
            # aiohttp would send a request a second time by itself if a connection breaks: we count tries.
            session._retry_connection = False
        sent = self._session.request(
            request.method,
            request.url,
            params=request.params,
            headers=request.headers,
            data=body,
            allow_redirects=False,  # no provider of ours redirects; credentials go nowhere else
        )
        async with sent as got:
            return Response(status=got.status, content=await got.read(), headers=got.headers)

    def _service(self, name: str) -> tuple[Breaker, Limit]:
        if name not in self._services:
            breaker = Breaker(
                name, threshold=settings.TRACKLY_BREAKER_THRESHOLD, pause=settings.TRACKLY_BREAKER_PAUSE
            )
            self._services[name] = breaker, Limit(name, rate=settings.TRACKLY_RATES[name])
        return self._services[name]

    def close(self) -> None:
        """End the loop and its connections."""

        async def end() -> None:
            if self._session is not None:
                await self._session.close()
            for _, limit in self._services.values():
                await limit.close()

        self.submit(end()).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


_callers: dict[int, Caller] = {}
_making = threading.Lock()


def caller() -> Caller:
    """The caller of this process; a fork has its own."""
    with _making:
        if os.getpid() not in _callers:
            _callers.clear()  # of a parent: its thread is not here
            _callers[os.getpid()] = Caller()
        return _callers[os.getpid()]


def forget() -> None:
    """End this process's caller; the next question makes a new one, with the settings of then."""
    with _making:
        for made in _callers.values():
            made.close()
        _callers.clear()
