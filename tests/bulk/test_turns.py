"""Turns: an account's jobs go to the workers a few at a time, and nobody waits for another's thousand."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Account
from ingestion import tasks
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.jobs import abandon, control, fairness, recovery
from ingestion.models import BulkJob, BulkSlice, Lane
from tests.support import LIST, new_account

pytestmark = pytest.mark.django_db(transaction=True)  # what is sent is sent after the commit


@pytest.fixture(autouse=True)
def _two_at_a_time(settings: Any) -> None:
    settings.TRACKLY_JOBS_IN_FLIGHT = 2


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The jobs that went to the workers, in order."""
    found: list[UUID] = []

    def fan_out(job_id: UUID, slice_ids: Sequence[int], lane: Lane) -> None:
        pending = BulkSlice.objects.filter(job=job_id, lane=lane, status="pending")
        assert set(slice_ids) == set(pending.values_list("pk", flat=True))
        if lane == Lane.INGEST:
            found.append(job_id)

    monkeypatch.setattr(tasks, "fan_out", fan_out)
    return found


@pytest.fixture
def account() -> Account:
    return new_account()[0]


def post(account: Account) -> BulkJob:
    """Accept a batch and send it, as the view does."""
    job, slice_ids = accept(account, read_batch({"contacts": b"[1]"}))
    tasks.send(job, slice_ids)
    return job


def stalled() -> dict[tuple[UUID, Lane], list[int]]:
    with transaction.atomic():
        return recovery.take_stalled()


def work(job: BulkJob) -> None:
    """What the workers do."""
    for slice_id in job.slices.values_list("pk", flat=True):
        tasks.process_slice(str(job.pk), slice_id)


def test_the_end_of_a_job_sends_its_accounts_next_in_the_order_of_acceptance(
    account: Account, sent: list[UUID]
) -> None:
    jobs = [post(account) for _ in range(5)]
    ids = [job.pk for job in jobs]
    assert sent == ids[:2]
    work(jobs[1])
    assert sent == ids[:3]
    work(jobs[0])
    assert sent == ids[:4]
    for job in jobs[2:]:
        work(job)
    assert sent == ids
    assert not BulkJob.objects.exclude(status="completed").exists()


def test_another_accounts_job_does_not_wait(account: Account, sent: list[UUID]) -> None:
    for _ in range(5):
        post(account)
    other = post(new_account()[0])
    assert sent[-1] == other.pk
    assert len(sent) == 3


def test_a_job_that_ends_while_another_is_being_accepted_makes_room_for_it(
    account: Account, sent: list[UUID]
) -> None:
    first, _ = post(account), post(account)
    late, slice_ids = accept(account, read_batch({"contacts": b"[1]"}))
    assert late.sent_at is None
    BulkJob.objects.filter(pk=first.pk).update(status="completed", completed_at=timezone.now())
    tasks.send(late, slice_ids)
    assert sent[-1] == late.pk


def test_the_sweep_sends_those_whose_turn_was_forgotten(account: Account, sent: list[UUID]) -> None:
    first, second, third = (post(account) for _ in range(3))
    for job in (first, second):
        BulkJob.objects.filter(pk=job.pk).update(status="completed", completed_at=timezone.now())
    assert fairness.waiting() == [account.pk]
    tasks.sweep()
    assert sent == [first.pk, second.pk, third.pk]
    assert fairness.waiting() == []


def test_a_job_that_waits_for_its_turn_is_not_stalled(
    account: Account, sent: list[UUID], settings: Any
) -> None:
    settings.TRACKLY_SWEEP_AFTER = 0
    jobs = [post(account) for _ in range(3)]
    assert {job_id for job_id, _ in stalled()} == {job.pk for job in jobs[:2]}
    assert sent == [job.pk for job in jobs[:2]]


def test_a_job_that_waits_for_its_turn_can_be_cancelled(account: Account, sent: list[UUID]) -> None:
    jobs = [post(account) for _ in range(4)]
    control.cancel(jobs[2].pk)
    jobs[2].refresh_from_db()
    assert (jobs[2].status, jobs[2].processed) == ("cancelled", 0)
    work(jobs[0])
    assert sent == [jobs[0].pk, jobs[1].pk, jobs[3].pk]


def test_no_slices_are_sent_where_there_is_no_room(account: Account, sent: list[UUID]) -> None:
    for _ in range(4):
        post(account)
    assert fairness.take(account.pk) == {}
    assert len(sent) == 2


def test_a_retried_job_waits_for_its_turn_too(account: Account, sent: list[UUID]) -> None:
    jobs = [post(account) for _ in range(2)]
    for job in jobs:
        [slice_id] = job.slices.values_list("pk", flat=True)
        abandon.give_up(slice_id)
        tasks.finalize_job(str(job.pk))
    busy = [post(account) for _ in range(2)]
    for job in jobs:
        control.retry(job.pk)
        tasks.send_next(account.pk)
    assert sent == [job.pk for job in (*jobs, *busy)]
    work(busy[0])
    assert sent[4:] == [jobs[0].pk]
    assert not [job_id for job_id, _ in stalled() if job_id == jobs[1].pk]
    work(busy[1])
    assert sent[4:] == [jobs[0].pk, jobs[1].pk]


def test_a_job_that_waits_for_look_ups_keeps_no_other_waiting(account: Account, sent: list[UUID]) -> None:
    body = json.dumps(
        [{"phone_number": "+12025550104", "list_number": LIST}]
    ).encode()  # asked over the network
    slow = []
    for _ in range(2):
        job, slice_ids = accept(account, read_batch({"contacts": body}))
        tasks.send(job, slice_ids)
        slow.append(job)
    other = post(account)
    assert sent == [job.pk for job in slow]
    [slice_id] = slow[0].slices.values_list("pk", flat=True)
    tasks.process_slice(str(slow[0].pk), slice_id)
    slow[0].refresh_from_db()
    assert (slow[0].turn_over, slow[0].completed_at) == (True, None)
    assert sent == [job.pk for job in (*slow, other)]


@pytest.mark.parametrize("committed", [True, False])
def test_a_job_that_is_cancelled_while_a_slice_commits_ends_and_gives_its_turn_back(
    account: Account, sent: list[UUID], committed: bool, settings: Any
) -> None:
    """The cancellation can't end the slice that a worker holds, and a worker won't begin it again."""
    job, _, third = (post(account) for _ in range(3))
    [slice_id] = job.slices.values_list("pk", flat=True)
    BulkJob.objects.filter(pk=job.pk).update(cancel_requested_at=timezone.now())
    if committed:  # the message comes
        tasks.process_slice(str(job.pk), slice_id)
    else:  # it was lost, and so is every other
        settings.TRACKLY_SWEEP_AFTER = 0
        tasks.sweep()
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert sent[-1] == third.pk


@pytest.mark.django_db(transaction=True)
def test_ends_at_the_same_moment_give_no_place_away_twice(settings: Any, sent: list[UUID]) -> None:
    settings.TRACKLY_JOBS_IN_FLIGHT = 4
    account, _ = new_account()
    running = [post(account) for _ in range(4)]
    for _ in range(20):
        post(account)
    BulkJob.objects.filter(pk__in=[job.pk for job in running]).update(
        status="completed", completed_at=timezone.now()
    )
    together = Barrier(4)

    def take() -> int:
        try:
            together.wait()
            return sum(map(len, fairness.take(account.pk).values()))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: take(), range(4))) == 4
