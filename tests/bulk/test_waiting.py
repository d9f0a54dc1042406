"""Waiting for a job's end: Redis wakes, PostgreSQL decides, and nobody waits for ever."""

import threading
from typing import Any

import pytest
import redis
from django.db import DatabaseError

from core.redis_client import client
from devstack.stack import Stack
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.jobs import waiting
from ingestion.jobs.process import process
from ingestion.models import BulkJob
from tests.support import new_account

pytestmark = pytest.mark.django_db


def ended_job() -> BulkJob:
    account, _ = new_account()
    job, [slice_id] = accept(account, read_batch({"contacts": b"[1]"}))
    process(slice_id)
    return job


def forgotten(job: BulkJob) -> BulkJob:
    """The job as it was accepted: whoever waits does not know yet that it has ended."""
    job.status = "queued"
    return job


def test_who_comes_after_the_end_does_not_wait(servers: Stack) -> None:
    job = ended_job()
    for _ in range(2):  # an announcement is for all who wait
        found, granted = waiting.wait_for(forgotten(job), 60)
        assert granted
        assert found.summary


def test_an_announcement_that_was_lost_costs_a_moment_and_nothing_else(servers: Stack) -> None:
    job = ended_job()
    client().flushdb()
    assert waiting.wait_for(forgotten(job), 60)[0].has_ended


def test_without_redis_the_row_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise redis.ConnectionError

    monkeypatch.setattr(waiting, "client", away)
    assert waiting.wait_for(forgotten(ended_job()), 60)[0].has_ended


def test_without_the_database_the_wait_goes_on(servers: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job was accepted: an error now would tell the client that it was not."""
    job, answers = ended_job(), [DatabaseError("gone"), DatabaseError("gone")]
    get = BulkJob.objects.get

    def failing(**query: Any) -> BulkJob:
        if answers:
            raise answers.pop()
        return get(**query)

    monkeypatch.setattr(waiting, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(BulkJob.objects, "get", failing)
    assert waiting.wait_for(forgotten(job), 60)[0].has_ended
    assert not answers


def test_the_wait_runs_out(servers: Stack) -> None:
    account, _ = new_account()
    job, _ = accept(account, read_batch({"contacts": b"[1]"}))
    for seconds in (0.01, 0):
        found, granted = waiting.wait_for(job, seconds)
        assert (found.has_ended, granted) == (False, True)


def test_beyond_the_bound_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_places", threading.BoundedSemaphore(1))
    job = forgotten(ended_job())
    with waiting._places:
        assert waiting.wait_for(job, 60) == (job, False)
