"""The sweep: what was lost on the way is sent again, what was not finalized is finalized."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from ingestion import tasks
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.jobs import process as processing
from ingestion.jobs import recovery
from ingestion.jobs.finalize import finalize
from ingestion.models import BulkJob, BulkSlice, Lane
from tests.support import new_account

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _round_numbers(settings: Any) -> None:
    settings.TRACKLY_SWEEP_AFTER = settings.TRACKLY_SLICE_LEASE = 60


def accepted(seconds_ago: float, *, sent_seconds_ago: float | None = None) -> tuple[BulkJob, int]:
    account, _ = new_account()
    job, [slice_id] = accept(account, read_batch({"contacts": b"[1]"}))
    now = timezone.now()
    sent = seconds_ago if sent_seconds_ago is None else sent_seconds_ago
    then = now - timedelta(seconds=seconds_ago)
    BulkJob.objects.filter(pk=job.pk).update(created_at=then, sent_at=then)
    BulkSlice.objects.filter(pk=slice_id).update(sent_at=now - timedelta(seconds=sent))
    return job, slice_id


@pytest.mark.parametrize(
    ("age", "sent", "again"),
    [
        (50, 50, False),
        (61, 61, True),
        (200, 61, False),  # sent again after 139 s of waiting: as long again must pass
        (200, 101, True),
        (3600, 120, False),
        (90_000, 601, True),  # a day in a queue: ten minutes are patience enough
    ],
)
def test_a_slice_is_sent_again_when_nobody_has_moved_it(age: float, sent: float, again: bool) -> None:
    job, slice_id = accepted(age, sent_seconds_ago=sent)
    assert recovery.take_stalled() == ({(job.pk, Lane.INGEST): [slice_id]} if again else {})


def test_a_slice_that_a_worker_is_at_is_left_to_him() -> None:
    _, slice_id = accepted(200, sent_seconds_ago=200)
    BulkSlice.objects.filter(pk=slice_id).update(claimed_at=timezone.now() - timedelta(seconds=50))
    assert not recovery.take_stalled()
    BulkSlice.objects.filter(pk=slice_id).update(claimed_at=timezone.now() - timedelta(seconds=61))
    assert recovery.take_stalled()


@pytest.mark.parametrize("minutes", [-10, 10])
@pytest.mark.parametrize(("age", "again"), [(50, False), (61, True)])
def test_a_wrong_clock_neither_hastens_nor_delays_the_sweep(
    monkeypatch: pytest.MonkeyPatch, minutes: int, age: float, again: bool
) -> None:
    """Neither of the machine that sweeps nor of the one that accepted."""
    wrong = timezone.now() + timedelta(minutes=minutes)
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: wrong)
        account, _ = new_account()
        job, [slice_id] = accept(account, read_batch({"contacts": b"[1]"}))
    passed = timedelta(seconds=age)
    BulkSlice.objects.filter(pk=slice_id).update(sent_at=F("sent_at") - passed)
    BulkJob.objects.filter(pk=job.pk).update(
        sent_at=F("sent_at") - passed, created_at=F("created_at") - passed
    )
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    assert recovery.take_stalled() == ({(job.pk, Lane.INGEST): [slice_id]} if again else {})
    assert recovery.orphans() == []
    BulkSlice.objects.update(status="done", finished_at=F("sent_at"))
    assert recovery.orphans() == ([job.pk] if again else [])


def test_what_was_taken_is_not_taken_again_at_once() -> None:
    accepted(100)
    assert recovery.take_stalled()
    assert not recovery.take_stalled()


def test_what_is_done_is_never_sent_again() -> None:
    _, slice_id = accepted(1000)
    processing.process(slice_id)
    assert not recovery.take_stalled()


def left_unfinished(slice_id: int) -> None:
    """Process the job's last slice, as it would where the summary could not be made."""
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(processing, "finalize_within", lambda _: None)
        processing.process(slice_id)


def test_a_job_that_was_left_unfinished_is_finalized_by_the_sweep() -> None:
    job, slice_id = accepted(61)
    assert recovery.orphans() == []
    left_unfinished(slice_id)
    assert recovery.orphans() == [job.pk]
    tasks.sweep()
    job.refresh_from_db()
    assert (job.status, recovery.orphans()) == ("completed", [])


def test_a_job_that_can_not_be_finalized_keeps_no_other_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, first_slice), (second, second_slice) = accepted(63), accepted(62)
    for slice_id in (first_slice, second_slice):
        left_unfinished(slice_id)
    broken = recovery.orphans()[0]

    def failing(job_id: UUID) -> int | None:
        if job_id == broken:
            raise ValueError("broken")
        return finalize(job_id)

    monkeypatch.setattr("ingestion.tasks.finalize", failing)
    tasks.sweep()
    statuses = dict(BulkJob.objects.values_list("pk", "status"))
    assert statuses.pop(broken) == "processing"
    assert list(statuses.values()) == ["completed"]
    assert {first.pk, second.pk} == {broken, *statuses}


@pytest.mark.parametrize(("slices", "sends"), [(1, "Signature.apply_async"), (2, "_chord.__call__")])
def test_without_a_broker_acceptance_goes_on(
    monkeypatch: pytest.MonkeyPatch, slices: int, sends: str
) -> None:
    tried: list[object] = []

    def away(*arguments: object, **_: object) -> None:
        tried.append(arguments)
        raise BrokerError("connection refused")

    monkeypatch.setattr(f"celery.canvas.{sends}", away)
    monkeypatch.setattr(tasks, "_broker", tasks._Broker())
    job, slice_id = accepted(0)
    for _ in range(3):  # it is not asked again at once
        tasks.fan_out(job.pk, [slice_id] * slices, Lane.INGEST)
    assert len(tried) == 1
    assert BulkSlice.objects.get().status == "pending"


def test_finalizing_a_job_that_is_gone_or_has_ended_changes_nothing() -> None:
    job, slice_id = accepted(0)
    processing.process(slice_id)
    tasks.finalize_job(str(job.pk))
    before = BulkJob.objects.values().get()
    tasks.finalize_job(str(job.pk))
    tasks.finalize_job(str(uuid4()))
    assert BulkJob.objects.values().get() == before


def test_the_last_slice_of_a_job_finalizes_it(settings: Any) -> None:
    settings.TRACKLY_SLICE_SIZE = 1
    account, _ = new_account()
    job, [first, second] = accept(account, read_batch({"contacts": b"[1, 2]"}))
    tasks.process_slice(str(job.pk), first)
    job.refresh_from_db()
    assert (job.status, job.processed) == ("processing", 1)
    tasks.process_slice(str(job.pk), second)
    job.refresh_from_db()
    assert (job.status, job.processed) == ("completed", 2)
