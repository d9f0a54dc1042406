"""The Celery tasks: they take ids and call one function each. Messages hold nothing that could be lost."""

import math
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from celery import Task, chord, shared_task
from django.db import DatabaseError, transaction

from billing import usage
from contacts import tally
from core.leases.hold import hold
from core.outbound import backoff
from core.redis_client import client
from ingestion import incidents
from ingestion.jobs import fairness, recovery
from ingestion.jobs import process as processing
from ingestion.jobs.finalize import finalize
from ingestion.models import BulkJob, IncidentKind, Lane

logger = structlog.get_logger(__name__)


def send(job: BulkJob, slice_ids: Sequence[int]) -> None:
    """Send the accepted job, or, at the account's in-flight limit, the account's next jobs in order."""
    if job.sent_at is not None:
        fan_out(job.pk, slice_ids, Lane.INGEST)
    else:
        send_next(job.account_id)


def send_next(account_id: int) -> None:
    """Send the account's next jobs, if there is room for any. Raises nothing: the sweep does it too."""
    if not _broker.may_be_tried():
        return
    try:
        taken = fairness.take(account_id)
    except DatabaseError as exc:
        logger.warning("next_not_sent", account=account_id, exc_info=exc)
        return
    for (job_id, lane), slice_ids in taken.items():
        fan_out(job_id, slice_ids, lane)


def fan_out(job_id: UUID, slice_ids: Sequence[int], lane: Lane) -> None:
    """Send the slices as a chord whose body finalizes the job; one alone needs none, its end is the job's.

    Raises nothing. Where the broker is away nothing is sent and nothing is lost: the sweep will send them.
    """
    if not slice_ids:
        return
    if not _broker.may_be_tried():
        return
    header = [process_slice.si(str(job_id), slice_id).set(queue=str(lane)) for slice_id in slice_ids]
    try:
        client().ping()  # a Redis that has frozen is found out in two seconds here, in thirteen by a chord
        if len(header) == 1:
            header[0].apply_async(ignore_result=True)  # its end is in the database
        else:
            chord(header)(finalize_job.si(str(job_id)))
    except Exception as exc:
        _broker.has_failed()
        logger.warning("dispatch_failed", job=str(job_id), slices=len(slice_ids), exc_info=exc)


class _Broker:
    """Whether to try the broker: not right after it failed, so that requests do not queue up for it."""

    def __init__(self) -> None:
        self._failed_at = -math.inf

    def may_be_tried(self) -> bool:
        return time.monotonic() - self._failed_at > _QUIET_SECONDS

    def has_failed(self) -> None:
        self._failed_at = time.monotonic()


_QUIET_SECONDS = 5.0
_broker = _Broker()


# A task whose worker was killed comes back after a second, not after Celery's three minutes.
@shared_task(name="contacts.bulk.tasks.process_slice", bind=True, max_retries=None, default_retry_delay=1)
def process_slice(self: "Task[Any, Any]", job_id: str, slice_id: int) -> None:
    """A member of the chord: one slice. Tried again until it succeeds or is given up.

    The one that moves the job's last contact finalizes it in its own transaction, without waiting for the
    chord's body.
    """
    try:
        done = processing.process(slice_id, by=self.request.id or "")
        for lane, slice_ids in processing.by_lane(done.made).items():
            fan_out(UUID(job_id), slice_ids, lane)
        if done.made:
            send_next(BulkJob.objects.values_list("account_id", flat=True).get(pk=job_id))
        elif done.ended_for is not None:
            send_next(done.ended_for)
    except Exception as exc:
        logger.warning("slice_raised", slice=slice_id, job=job_id, exc_info=exc)
        raise self.retry(exc=exc, countdown=backoff(self.request.retries + 1)) from exc


@shared_task(name="contacts.bulk.tasks.settle", ignore_result=True)
def finalize_job(job_id: str) -> None:
    """The chord's body: the summary. Too early (slices were put off, or sent twice) it does nothing."""
    _finalize(UUID(job_id))


def _finalize(job_id: UUID) -> None:
    """End the job if that is due, and send its account's next."""
    account_id = finalize(job_id)
    if account_id is not None:
        send_next(account_id)


@shared_task(name="contacts.bulk.tasks.sweep", ignore_result=True)
def sweep(every: float = 0.0) -> None:
    """By beat: send stalled slices again, finalize jobs that were left unfinished, keep tallies short.

    `every`: seconds that must lie between two runs (core.leases).
    """
    with hold("sweep", every=every) as is_ours:
        if not is_ours:
            return
        with transaction.atomic():
            stalled = recovery.take_stalled()
            for (job_id, _), slice_ids in stalled.items():
                incidents.note(IncidentKind.SENT_AGAIN, job=job_id, count=len(slice_ids))
        for (job_id, lane), slice_ids in stalled.items():
            fan_out(job_id, slice_ids, lane)
        for job_id in recovery.orphans():
            incidents.note(IncidentKind.SETTLED, job=job_id, count=1)
            try:
                _finalize(job_id)
            except Exception:
                logger.exception("finalize_failed", job=str(job_id))
        for account_id in fairness.waiting():
            send_next(account_id)
        tally.add_up()
        usage.add_up()
        incidents.forget()
