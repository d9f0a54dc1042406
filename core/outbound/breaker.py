"""A circuit breaker: a service that does not answer isn't asked for a while, so that batches don't crawl.

```
closed ──(questions fail, of enough different subjects, none answered in between)──► open
closed ──(answers tell nothing, of many different subjects, none told of in between)──► open
open ──(after a pause, one question is let through)──► answered: closed; failed: open again
```

One per process and service: each process finds out for itself, with a handful of questions, and shares no
state.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from core.outbound.errors import Failure, OutboundError

T = TypeVar("T")
logger = structlog.get_logger(__name__)


UNTOLD = 5
"""Answers that tell nothing may be right, each of them: their run is so many times longer than failures'.

A service that can't tell of fifty numbers in a row (the default) is more likely to lack a permission or its
own source than to be asked of fifty such numbers. They are charged for, so the fifty-first is not asked.
"""


class CircuitOpen(OutboundError):
    """Nothing was asked: the service is being left alone."""

    def __init__(self, name: str, reason: str = "") -> None:
        super().__init__(
            f"{name} is left alone for a while" + (f": {reason}" if reason else ""), Failure.RETRYABLE
        )


class Breaker:
    """Used from one event loop. `threshold`: different subjects that fail in a row; `pause`: seconds open.

    Subjects, not failures, are counted: one number that never gets an answer says nothing of the service. Nor
    does a minority of those under way: failures may be quicker than answers.
    """

    def __init__(
        self, name: str, *, threshold: int, pause: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name, self._threshold, self._pause, self._clock = name, threshold, pause, clock
        self._failed: set[str] = set()
        self._untold: set[str] = set()
        self._reason = ""
        self._opened_at: float | None = None
        self._probe: asyncio.Task[Any] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_open(self) -> bool:
        return self._opened_at is not None

    async def guard(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work`, which tells of each answer and failure. Raises CircuitOpen at once when open.

        Also when the breaker opens while `work` is under way: its questions would not be answered.
        """
        if self._opened_at is not None and (
            self._probe is not None or self._clock() < self._opened_at + self._pause
        ):
            raise CircuitOpen(self.name, self._reason)
        task = asyncio.create_task(work())
        self._tasks.add(task)
        if self.is_open:
            self._probe = task
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if task.cancelled() and not (current and current.cancelling()):
                raise CircuitOpen(self.name, self._reason) from None
            raise
        finally:
            self._tasks.discard(task)
            if self._probe is task:
                self._probe = None

    def answered(self, subject: str = "", *, told: bool = True, why: Exception | None = None) -> None:
        """The service lives. Not `told`: it documents that it can't tell about `subject`.

        A long run of the latter opens the circuit; a failing run is over in any case.
        """
        if told:
            self._untold.clear()
        else:
            self._untold.add(subject)
            if len(self._untold) >= self._enough(UNTOLD * self._threshold):
                last = f", lastly: {why}" if why else ""
                self._open(f"it could tell nothing about {len(self._untold)} numbers in a row{last}")
                return
        self._failed.clear()
        if self.is_open:
            self._opened_at = None
            logger.warning("circuit_closed", service=self.name)

    def failed(self, subject: str, why: Exception | None = None) -> None:
        """`subject` got no answer. May open the circuit, and end whatever else is under way."""
        self._failed.add(subject)
        if self.is_open or len(self._failed) >= self._enough(self._threshold):
            self._open(str(why or ""))

    def _enough(self, threshold: int) -> float:
        return max(threshold, len(self._tasks) / 2)

    def _open(self, reason: str) -> None:
        self._reason = reason
        if not self.is_open:
            logger.error("circuit_opened", service=self.name, seconds=self._pause, reason=reason)
        self._opened_at = self._clock()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
