"""Waiting for a job's end: PostgreSQL says whether it has ended, Redis wakes the waiting requests."""

import threading
import time
from typing import Any
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from core.http import request_log
from core.redis_client import client
from ingestion.models import BulkJob

logger = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0
"""Seconds after which a waiter looks at the job's row, announced or not (Redis may forget).

Below the time-out of core.redis_client.client.
"""
_LOOK_WITHOUT_REDIS = 0.25
_KEEP = 60
"""Seconds that an announcement is kept, for requests that begin to wait after it."""

_places = threading.BoundedSemaphore(settings.TRACKLY_MAX_WAITERS)


def _stream(job_id: UUID) -> str:
    return f"trackly:ended:{job_id}"


def announce(job_id: UUID) -> None:
    """Wake the requests that wait for the job. Its end has been committed."""
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.xadd(_stream(job_id), {"ended": "1"}, maxlen=1)
            pipe.expire(_stream(job_id), _KEEP)
            pipe.execute()
    except redis.RedisError as exc:
        logger.warning("not_announced", job=str(job_id), exc_info=exc)


def wait_for(job: BulkJob, seconds: float) -> tuple[BulkJob, bool]:
    """Wait for the job's end, `seconds` at most; the job as it is now, and whether the wait was granted.

    It is not granted to more than TRACKLY_MAX_WAITERS at a time. Raises nothing: the job was accepted, and
    whatever happens now, the answer must not be that it was not.
    """
    request_log.note(waited=False)
    if seconds <= 0:
        return job, True
    if not _places.acquire(blocking=False):
        return job, False
    began = time.monotonic()
    try:
        return _wait(job, began + seconds), True
    finally:
        _places.release()
        request_log.note(waited=True, waited_ms=round((time.monotonic() - began) * 1000, 1))


def _wait(job: BulkJob, deadline: float) -> BulkJob:
    heard = "0"
    while not job.has_ended and (left := deadline - time.monotonic()) > 0:
        if not connection.in_atomic_block:
            connection.close()  # back to the pool: waiting needs none
        heard = _sleep_until_announced(job.pk, min(left, _LOOK_EVERY), heard)
        try:
            job = BulkJob.objects.get(pk=job.pk)
        except DatabaseError as exc:
            logger.warning("waiting_without_database", exc_info=exc)
    return job


def _sleep_until_announced(job_id: UUID, seconds: float, heard: str) -> str:
    """Sleep until the job's end is announced, `seconds` at most; `heard` is the last announcement known.

    Returns the last one known now: an old one (of an end before a retry) must not wake it in a loop.
    """
    try:
        streams: Any = client().xread({_stream(job_id): heard}, block=max(1, int(seconds * 1000)))
    except redis.RedisError as exc:
        logger.warning("waiting_without_redis", exc_info=exc)
        time.sleep(min(seconds, _LOOK_WITHOUT_REDIS))
        return heard
    return streams[0][1][-1][0] if streams else heard
