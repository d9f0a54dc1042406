"""The Celery tasks of journeys: ids in, one function each. What a lost message would do, the tick does."""

from collections.abc import Sequence

import structlog
from celery import shared_task
from django.utils import timezone

from journeys.engine import advance as advancing
from journeys.engine import claim as claiming
from journeys.messages import outbox
from trackly import sql

logger = structlog.get_logger(__name__)

_SENDERS = 4
"""Tasks that a tick starts where there is something to send; each goes on until nothing is due."""
_SETS_OF_A_TASK = 50


@shared_task(ignore_result=True)
def tick() -> None:
    """By beat: who is due goes on, what is due is sent. One at a time, on all machines."""
    now = timezone.now()
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
            send.delay()
    if outbox.unconfirmed(now).exists():
        confirm.delay()


@shared_task(ignore_result=True)
def advance(ids: Sequence[int]) -> None:
    """Claimed enrollments go on."""
    _, made = advancing.advance(ids, timezone.now())
    if made:
        try:
            send.delay()
        except Exception as exc:  # the tick does it, a second later
            logger.warning("not_sent", messages=made, exc_info=exc)


@shared_task(ignore_result=True)
def send() -> None:
    """What is due leaves the outbox."""
    for _ in range(_SETS_OF_A_TASK):
        if not outbox.send(timezone.now()):
            return
    send.delay()


@shared_task(ignore_result=True)
def confirm() -> None:
    """Ask the gateway what became of messages that it never answered for."""
    with sql.exclusively("confirm messages") as is_ours:
        if is_ours:
            outbox.confirm(timezone.now())
