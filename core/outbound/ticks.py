"""Many questions under way at once, looked at every now and then; and a clock that no sleep stops."""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future, wait
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

TICK_SECONDS = 0.25
"""What has come is looked at so long after it came, at the latest."""
_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_STEP_SECONDS = 0.01
"""How often something else is done meanwhile."""


def boot_clock() -> float:
    """Seconds that also pass while the process is stopped, and (on Linux) while the machine sleeps."""
    return time.clock_gettime(_BOOT_CLOCK)


def in_ticks(
    asked: Mapping[K, Future[T]], *, meanwhile: Callable[[], None] | None = None
) -> Iterator[tuple[dict[K, Future[T]], dict[K, Future[T]]]]:
    """Each tick's futures that are done, perhaps none, and those that are not; until all are.

    `meanwhile` is called every hundredth of a second, in this thread.
    """
    left = dict(asked)
    while left:
        _wait(left, meanwhile)
        done = {key: future for key, future in left.items() if future.done()}
        left = {key: future for key, future in left.items() if key not in done}
        yield done, left


def _wait(left: Mapping[K, Future[T]], meanwhile: Callable[[], None] | None) -> None:
    """Until all are done, a tick at most."""
    if meanwhile is None:
        wait(left.values(), timeout=TICK_SECONDS)
        return
    ends = time.monotonic() + TICK_SECONDS
    while wait(left.values(), timeout=_STEP_SECONDS).not_done:
        meanwhile()
        if time.monotonic() >= ends:
            return
