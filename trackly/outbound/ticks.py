"""Many questions under way at once, looked at every now and then."""

from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import Future, wait
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

TICK_SECONDS = 0.25
"""What has come is looked at so long after it came, at the latest."""


def in_ticks(asked: Mapping[K, Future[T]]) -> Iterator[tuple[dict[K, Future[T]], dict[K, Future[T]]]]:
    """Each tick's futures that are done, perhaps none, and those that are not; until all are."""
    left = dict(asked)
    while left:
        wait(left.values(), timeout=TICK_SECONDS)
        done = {key: future for key, future in left.items() if future.done()}
        left = {key: future for key, future in left.items() if key not in done}
        yield done, left
