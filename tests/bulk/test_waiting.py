"""Waiting for a job's end: Redis wakes, PostgreSQL decides, and nobody waits for ever."""

import threading
from typing import Any
from uuid import uuid4

import pytest
import redis

from contacts.bulk import waiting
from contacts.bulk.accept import accept, read_batch
from contacts.bulk.models import BulkJob
from contacts.bulk.process import process
from contacts.bulk.settle import settle
from tests.support import new_account
from trackly.embedded.stack import Stack
from trackly.redis import client

pytestmark = pytest.mark.django_db


def ended_job() -> BulkJob:
    account, _ = new_account()
    job, [slice_id] = accept(account, read_batch({"contacts": b"[1]"}))
    process(slice_id)
    settle(job.pk)
    return job


def test_who_comes_after_the_end_does_not_wait(servers: Stack) -> None:
    job = ended_job()
    for _ in range(2):  # an announcement is for all who wait
        found = waiting.wait_for(job.pk, 60)
        assert found is not None
        assert found.summary


def test_an_announcement_that_was_lost_costs_a_moment_and_nothing_else(servers: Stack) -> None:
    job = ended_job()
    client().flushdb()
    assert waiting.wait_for(job.pk, 60) is not None


def test_without_redis_the_row_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise redis.ConnectionError

    monkeypatch.setattr(waiting, "client", away)
    assert waiting.wait_for(ended_job().pk, 60) is not None


def test_the_wait_runs_out(servers: Stack) -> None:
    account, _ = new_account()
    job, _ = accept(account, read_batch({"contacts": b"[1]"}))
    assert waiting.wait_for(job.pk, 0.01) is None
    assert waiting.wait_for(job.pk, 0) is None


def test_beyond_the_bound_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_places", threading.BoundedSemaphore(1))
    with waiting._places:
        assert waiting.wait_for(uuid4(), 60) is None
