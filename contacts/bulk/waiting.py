"""Waiting for a job's end: PostgreSQL says whether it has ended, Redis wakes whoever waits for it."""

import threading
import time
from typing import Any
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import OperationalError, connection

from contacts.bulk.models import BulkJob
from trackly.redis import client

logger = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0
"""Seconds after which a waiter looks at the job's row, announced or not: Redis may forget."""
_LOOK_WITHOUT_REDIS = 0.25
_KEEP = 60
"""Seconds that an announcement is kept for those who come to wait after it."""

_places = threading.BoundedSemaphore(settings.TRACKLY_MAX_WAITERS)


def _stream(job_id: UUID) -> str:
    return f"trackly:ended:{job_id}"


def announce(job_id: UUID) -> None:
    """Wake all who wait for the job. Its end has been committed."""
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.xadd(_stream(job_id), {"ended": "1"}, maxlen=1)
            pipe.expire(_stream(job_id), _KEEP)
            pipe.execute()
    except redis.RedisError as exc:
        logger.warning("not_announced", job=str(job_id), exc_info=exc)


def wait_for(job_id: UUID, seconds: float) -> BulkJob | None:
    """The job once it has ended, or None if that takes longer than `seconds` or too many wait already."""
    if seconds <= 0 or not _places.acquire(blocking=False):
        return None
    try:
        return _wait(job_id, time.monotonic() + seconds)
    finally:
        _places.release()


def _wait(job_id: UUID, deadline: float) -> BulkJob | None:
    heard = "0"
    while (left := deadline - time.monotonic()) > 0:
        if not connection.in_atomic_block:
            connection.close()  # back to the pool: waiting needs none
        heard = _sleep_until_announced(job_id, min(left, _LOOK_EVERY), heard)
        try:
            job = BulkJob.objects.get(pk=job_id)
        except OperationalError as exc:
            # The job was accepted: whatever happens now, the answer must not be that it was not.
            logger.warning("waiting_without_database", exc_info=exc)
            return None
        if job.has_ended:
            return job
    return None


def _sleep_until_announced(job_id: UUID, seconds: float, heard: str) -> str:
    """Sleep until the job's end is announced, `seconds` at most; `heard` is the last announcement known.

    Returns the last one known now: an old one (of an end before a retry) must not wake the waiter for ever.
    """
    try:
        streams: Any = client().xread({_stream(job_id): heard}, block=max(1, int(seconds * 1000)))
    except redis.RedisError as exc:
        logger.warning("waiting_without_redis", exc_info=exc)
        time.sleep(min(seconds, _LOOK_WITHOUT_REDIS))
        return heard
    return streams[0][1][-1][0] if streams else heard
