"""The end of a job, in the transaction of the slice that moved its last contact."""

import json
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError
from psycopg import errors

from contacts.models import ListContact
from ingestion.jobs import finalize as finalizing
from ingestion.jobs import process as processing
from ingestion.jobs import waiting
from ingestion.models import BulkJob, BulkSlice
from tests.support import accept_batch, contact, new_account

pytestmark = pytest.mark.django_db


def test_the_last_slice_ends_its_job_and_no_other_does(settings: Any) -> None:
    settings.TRACKLY_SLICE_SIZE = 1
    account, _ = new_account()
    job, slice_ids = accept_batch(account, *(contact() for _ in range(3)))
    for slice_id in slice_ids:
        assert not BulkJob.objects.get(pk=job.pk).has_ended
        processing.process(slice_id)
    job.refresh_from_db()
    assert (job.status, json.loads(job.summary)["success_count"]) == ("completed", 3)


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_ends_nothing_and_tells_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact())
    told: list[UUID] = []
    victims = [1, 2]
    monkeypatch.setattr(waiting, "announce", told.append)

    def deadlocked(job_id: UUID) -> int | None:
        account_id = finalizing.finalize_within(job_id)
        assert account_id == account.pk
        if victims:
            victims.pop()
            raise OperationalError from errors.DeadlockDetected()
        return account_id

    monkeypatch.setattr(processing, "finalize_within", deadlocked)
    assert processing.process(slice_id).ended_for == account.pk
    assert (told, victims, ListContact.objects.count()) == ([job.pk], [], 1)
    job.refresh_from_db()
    assert job.status == "completed"


def broken_summary(_: object) -> None:
    raise RuntimeError


def test_a_job_that_can_not_be_finalized_costs_no_contact(monkeypatch: pytest.MonkeyPatch) -> None:
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact(), contact("bad"))
    with monkeypatch.context() as broken:
        broken.setattr(finalizing, "summarize", broken_summary)
        assert processing.process(slice_id) == processing.Processed()
    job.refresh_from_db()
    assert (job.has_ended, job.processed, ListContact.objects.count()) == (False, 2, 1)
    processing.process(slice_id)  # its message comes again
    job.refresh_from_db()
    assert (job.status, job.success_count, job.error_count) == ("completed", 1, 1)


def test_a_slice_that_is_given_up_ends_its_job(settings: Any) -> None:
    settings.TRACKLY_SLICE_ATTEMPTS = 1
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact())
    BulkSlice.objects.filter(pk=slice_id).update(attempts=1)
    processing.process(slice_id)
    job.refresh_from_db()
    assert (job.status, job.error_count) == ("failed", 1)
