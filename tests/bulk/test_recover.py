"""The sweep: what was lost on the way is sent again, what was not settled is settled."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from contacts.bulk import process as processing
from contacts.bulk import recover, tasks
from contacts.bulk.accept import accept, read_batch
from contacts.bulk.models import BulkJob, BulkSlice, Lane
from tests.support import new_account

pytestmark = pytest.mark.django_db


def accepted(seconds_ago: float, *, sent_seconds_ago: float | None = None) -> tuple[BulkJob, int]:
    account, _ = new_account()
    job, [slice_id] = accept(account, read_batch({"contacts": b"[1]"}))
    now = timezone.now()
    sent = seconds_ago if sent_seconds_ago is None else sent_seconds_ago
    BulkJob.objects.filter(pk=job.pk).update(created_at=now - timedelta(seconds=seconds_ago))
    BulkSlice.objects.filter(pk=slice_id).update(sent_at=now - timedelta(seconds=sent))
    return job, slice_id


@pytest.mark.parametrize(
    ("age", "sent", "again"),
    [
        (59, 59, False),
        (61, 61, True),
        (200, 61, False),  # sent again after 139 s of waiting: as long again must pass
        (200, 101, True),
        (3600, 120, False),
    ],
)
def test_a_slice_is_sent_again_when_nobody_has_moved_it(age: float, sent: float, again: bool) -> None:
    job, slice_id = accepted(age, sent_seconds_ago=sent)
    assert recover.take_stalled() == ({(job.pk, Lane.INGEST): [slice_id]} if again else {})


def test_what_was_taken_is_not_taken_again_at_once() -> None:
    accepted(100)
    assert recover.take_stalled()
    assert not recover.take_stalled()


def test_what_is_done_is_never_sent_again() -> None:
    _, slice_id = accepted(1000)
    processing.process(slice_id)
    assert not recover.take_stalled()


def test_a_job_that_nobody_settled_is_settled_by_the_sweep() -> None:
    job, slice_id = accepted(61)
    assert recover.orphans() == []
    processing.process(slice_id)
    assert recover.orphans() == [job.pk]
    tasks.sweep()
    job.refresh_from_db()
    assert (job.status, recover.orphans()) == ("completed", [])


def test_without_a_broker_acceptance_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise BrokerError("connection refused")

    monkeypatch.setattr("celery.canvas._chord.__call__", away)
    job, slice_id = accepted(0)
    tasks.fan_out(job.pk, [slice_id], Lane.INGEST)
    assert BulkSlice.objects.get().status == "pending"


def test_settling_a_job_that_is_gone_or_has_ended_changes_nothing() -> None:
    job, slice_id = accepted(0)
    processing.process(slice_id)
    tasks.settle(str(job.pk))
    before = BulkJob.objects.values().get()
    tasks.settle(str(job.pk))
    tasks.settle(str(uuid4()))
    assert BulkJob.objects.values().get() == before
