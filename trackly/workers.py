"""Which Celery workers are alive: each says so in Redis every few seconds, from the loop that takes messages.

A ping by Celery's remote control would leave a key in Redis for every answer that comes late, for ever.
"""

import math
import time
from typing import Any, cast

import redis
import structlog
from celery import bootsteps

from trackly.redis import client

logger = structlog.get_logger(__name__)

KEY = "trackly:workers"
"""A sorted set: a worker's node name, by the time (Redis' own) at which it was last heard of."""
_EVERY_SECONDS = 5.0
ALIVE_SECONDS = 20.0
"""A worker that was not heard of for so long is taken for dead, or frozen."""
_REMEMBERED_SECONDS = 3600
_last_seen = -math.inf


class Heartbeat(bootsteps.StartStopStep):
    """The worker's part (trackly.celery adds it to the consumer)."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._entry: Any = None

    def start(self, parent: Any) -> None:
        beat(parent.hostname)
        self._entry = parent.timer.call_repeatedly(_EVERY_SECONDS, beat, (parent.hostname,))

    def stop(self, parent: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()
        try:
            client().zrem(KEY, parent.hostname)
        except redis.RedisError as exc:
            logger.warning("heartbeat_not_removed", exc_info=exc)


def beat(node: str) -> None:
    """Say that the worker of this node name is alive. Raises nothing."""
    try:
        now = _now()
        with client().pipeline(transaction=False) as pipe:
            pipe.zadd(KEY, {node: now})
            pipe.zremrangebyscore(KEY, "-inf", now - _REMEMBERED_SECONDS)
            pipe.execute()
    except redis.RedisError as exc:
        logger.warning("heartbeat_not_sent", exc_info=exc)


def alive() -> list[str]:
    """The node names of the workers that were heard of lately. Raises redis.RedisError."""
    found = cast("list[bytes]", client().zrangebyscore(KEY, _now() - ALIVE_SECONDS, "+inf"))
    return [name.decode() for name in found]


def any_alive() -> bool:
    """Whether a worker is alive; for a moment also after Redis has forgotten all of them.

    Raises redis.RedisError.
    """
    global _last_seen  # noqa: PLW0603 - of this process
    if alive():
        _last_seen = time.monotonic()
    return time.monotonic() - _last_seen < 2 * _EVERY_SECONDS


def _now() -> float:
    seconds, microseconds = client().time()
    return seconds + microseconds / 1e6
