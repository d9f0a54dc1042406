"""The Celery tasks of journeys: ids in, one function each. What a lost message would do, the tick does."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis
import structlog
from celery import Task, shared_task

from core import sql
from core.leases.hold import hold
from core.redis_client import client
from journeys.engine import advance as advancing
from journeys.engine import claim as claiming
from journeys.messages import outbox

logger = structlog.get_logger(__name__)

_SENDERS = 3
"""Tasks that send at once, on all machines."""
_SENDING_SECONDS = 20.0
"""How long one of them goes on; the next tick starts another."""
_REQUESTED_SECONDS = 10
"""A task that was asked for and has not begun is asked for again after so long."""


@shared_task(ignore_result=True)
def tick(every: float = 0.0) -> None:
    """By beat: send due enrollments and messages to the workers. One run at a time, on all machines."""
    now = sql.now()
    with hold("journeys tick", every=every) as is_ours:
        if not is_ours:
            return
        sets = claiming.claim(now)
        for done, ids in enumerate(sets):
            try:
                advance.delay(ids)
            except Exception as exc:
                logger.warning("dispatch_failed", enrollments=sum(map(len, sets[done:])), exc_info=exc)
                claiming.unclaim([one for left in sets[done:] for one in left])
                return
        outbox.look_after(now)
    if outbox.is_due(now):
        _request(send, times=_SENDERS)
    if outbox.unconfirmed(now).exists():
        _request(confirm)


def _request(task: "Task[Any, Any]", *, times: int = 1) -> None:
    """Send the task, unless that was done a moment ago and none has begun since (Redis keeps the time).

    An `expires` instead would be by two machines' clocks. Raises what the broker raises.
    """
    try:
        is_new = client().set(_requested(task), 1, nx=True, ex=_REQUESTED_SECONDS)
    except redis.RedisError:  # with RabbitMQ as the broker the messages get through all the same
        is_new = True
    for _ in range(times if is_new else 0):
        task.apply_async()


def _requested(task: "Task[Any, Any]") -> str:
    return f"trackly:requested:{task.name}"


def _has_begun(task: "Task[Any, Any]") -> None:
    with suppress(redis.RedisError):
        client().delete(_requested(task))


@shared_task(ignore_result=True)
def advance(ids: Sequence[int]) -> None:
    """Claimed enrollments go on."""
    _, made = advancing.advance(ids, sql.now())
    if made:
        try:
            _request(send)
        except Exception as exc:  # the tick does it, a second later
            logger.warning("dispatch_failed", messages=made, exc_info=exc)


@shared_task(ignore_result=True)
def send() -> None:
    """What is due leaves the outbox; by three at a time, so that whatever else the worker does goes on."""
    _has_begun(send)
    for number in range(_SENDERS):
        with hold(f"sender {number}") as is_ours:
            if is_ours:
                ends = time.monotonic() + _SENDING_SECONDS
                while outbox.send(sql.now()) and time.monotonic() < ends:
                    continue
                return


@shared_task(ignore_result=True)
def confirm() -> None:
    """Ask the gateway what became of messages that it never answered for."""
    _has_begun(confirm)
    with hold("confirm messages") as is_ours:
        if is_ours:
            outbox.confirm(sql.now())
