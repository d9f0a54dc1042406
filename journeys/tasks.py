"""The Celery tasks of journeys: ids in, one function each. What a lost message would do, the tick does."""

import time
from collections.abc import Sequence

import structlog
from celery import shared_task

from journeys.engine import advance as advancing
from journeys.engine import claim as claiming
from journeys.messages import outbox
from trackly import sql

logger = structlog.get_logger(__name__)

_SENDERS = 3
"""Tasks that send at once, on all machines."""
_SENDING_SECONDS = 20.0
"""How long one of them goes on; the next tick starts another."""
_EXPIRES_SECONDS = 10


@shared_task(ignore_result=True)
def tick() -> None:
    """By beat: who is due goes on, what is due is sent. One at a time, on all machines."""
    now = sql.now()
    with sql.exclusively("journeys tick") as is_ours:
        if not is_ours:
            return
        sets = claiming.claim(now)
        for done, ids in enumerate(sets):
            try:
                advance.delay(ids)
            except Exception as exc:
                logger.warning("not_sent", enrollments=sum(map(len, sets[done:])), exc_info=exc)
                claiming.unclaim([one for left in sets[done:] for one in left])
                return
        outbox.look_after(now)
    if outbox.is_due(now):
        for _ in range(_SENDERS):
            send.apply_async(expires=_EXPIRES_SECONDS)
    if outbox.unconfirmed(now).exists():
        confirm.apply_async(expires=_EXPIRES_SECONDS)


@shared_task(ignore_result=True)
def advance(ids: Sequence[int]) -> None:
    """Claimed enrollments go on."""
    _, made = advancing.advance(ids, sql.now())
    if made:
        try:
            send.apply_async(expires=_EXPIRES_SECONDS)
        except Exception as exc:  # the tick does it, a second later
            logger.warning("not_sent", messages=made, exc_info=exc)


@shared_task(ignore_result=True)
def send() -> None:
    """What is due leaves the outbox; by three at a time, so that whatever else the worker does goes on."""
    for number in range(_SENDERS):
        with sql.exclusively(f"sender {number}") as is_ours:
            if is_ours:
                ends = time.monotonic() + _SENDING_SECONDS
                while outbox.send(sql.now()) and time.monotonic() < ends:
                    continue
                return


@shared_task(ignore_result=True)
def confirm() -> None:
    """Ask the gateway what became of messages that it never answered for."""
    with sql.exclusively("confirm messages") as is_ours:
        if is_ours:
            outbox.confirm(sql.now())
