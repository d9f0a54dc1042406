"""Heartbeats of the Celery workers and of beat: each writes its own to Redis every few seconds.

A worker does from the loop that takes messages, beat from the one that sends them; the times are Redis' own.
A ping by Celery's remote control would leave a key in Redis, without expiry, for every late answer.
"""

import math
import time
from collections.abc import Iterable
from typing import Any, cast

import redis
import structlog
from celery import bootsteps

from core.redis_client import client

logger = structlog.get_logger(__name__)

KEY = "trackly:workers"
"""A sorted set: a worker's node name, by the time at which it was last heard of. `KEY:queue`: of those alone
that take from this queue."""
_BEAT_KEY = "trackly:beat"
"""When beat last looked at its schedule."""
_EVERY_SECONDS = 5.0
ALIVE_SECONDS = 20.0
"""A worker without a heartbeat for so long counts as dead, or frozen."""
_REMEMBERED_SECONDS = 3600
_last_seen = -math.inf
_last_tick = -math.inf


class Heartbeat(bootsteps.StartStopStep):
    """The worker's part (trackly.celery adds it to the consumer)."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._entry: Any = None

    def start(self, parent: Any) -> None:
        self._beat(parent)
        self._entry = parent.timer.call_repeatedly(_EVERY_SECONDS, self._beat, (parent,))

    def stop(self, parent: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()
        try:
            for key in _keys(_queues(parent)):
                client().zrem(key, parent.hostname)
        except redis.RedisError as exc:
            logger.warning("heartbeat_not_removed", exc_info=exc)

    @staticmethod
    def _beat(parent: Any) -> None:
        beat(parent.hostname, _queues(parent))


def _queues(parent: Any) -> list[str]:
    """The queues that the worker takes from."""
    return list(parent.app.amqp.queues.consume_from)


def _keys(queues: Iterable[str]) -> list[str]:
    return [KEY, *(f"{KEY}:{queue}" for queue in queues)]


def beat(node: str, queues: Iterable[str] = ()) -> None:
    """Say that the worker of this node name is alive, and takes from these queues. Raises nothing."""
    try:
        now = _now()
        with client().pipeline(transaction=False) as pipe:
            for key in _keys(queues):
                pipe.zadd(key, {node: now})
                pipe.zremrangebyscore(key, "-inf", now - _REMEMBERED_SECONDS)
                pipe.expire(key, _REMEMBERED_SECONDS)
            pipe.execute()
    except redis.RedisError as exc:
        logger.warning("heartbeat_not_sent", exc_info=exc)


def alive() -> list[str]:
    """The node names of the workers that were heard of lately. Raises redis.RedisError."""
    found = cast("list[bytes]", client().zrangebyscore(KEY, _now() - ALIVE_SECONDS, "+inf"))
    return [name.decode() for name in found]


def alive_by_queue(queues: Iterable[str]) -> dict[str, int]:
    """How many workers that were heard of lately take from each of the queues. Raises redis.RedisError."""
    since, names = _now() - ALIVE_SECONDS, list(queues)
    with client().pipeline(transaction=False) as pipe:
        for name in names:
            pipe.zcount(f"{KEY}:{name}", since, "+inf")
        return dict(zip(names, map(int, pipe.execute()), strict=True))


def any_alive() -> bool:
    """Whether a worker is alive; for a moment also after Redis has forgotten all of them.

    Raises redis.RedisError.
    """
    global _last_seen  # noqa: PLW0603 - of this process
    if alive():
        _last_seen = time.monotonic()
    return time.monotonic() - _last_seen < 2 * _EVERY_SECONDS


def beat_ticked() -> None:
    """Say that beat has looked at its schedule, every few seconds. Raises nothing."""
    global _last_tick  # noqa: PLW0603 - of beat's process
    if time.monotonic() - _last_tick < _EVERY_SECONDS:
        return
    _last_tick = time.monotonic()
    try:
        client().set(_BEAT_KEY, _now(), ex=_REMEMBERED_SECONDS)
    except redis.RedisError as exc:
        logger.warning("heartbeat_not_sent", exc_info=exc)


def beat_age() -> float | None:
    """Seconds since beat's last heartbeat; None: not within an hour, or Redis has lost it.

    Raises redis.RedisError.
    """
    at = cast("bytes | None", client().get(_BEAT_KEY))
    return None if at is None else max(0.0, _now() - float(at))


def _now() -> float:
    seconds, microseconds = client().time()
    return seconds + microseconds / 1e6
