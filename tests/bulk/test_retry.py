"""What no validation provider answered for runs again, alone and once."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Account
from billing.models import BillingConfig, LedgerEntry
from contacts.models import ListContact
from core.http.errors import ApiError
from devstack.sandbox.server import Stub
from ingestion.jobs import abandon, control, fairness
from ingestion.jobs import process as processing
from ingestion.jobs.finalize import finalize
from ingestion.jobs.results import errors_csv, outcomes
from ingestion.models import BulkJob, BulkSlice
from lookups.models import Lookup
from lookups.sandbox import NUMBERS, Number
from tests.support import accept_batch, chargeable_account, contact, drive, new_number

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hasty")]

SILENT, ALSO_SILENT = "+12025550116", "+12025550117"
"""The stub answers no validation of these until `answered`."""


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NUMBERS, ALSO_SILENT, NUMBERS[SILENT])


@pytest.fixture
def account() -> Account:
    return chargeable_account()


def run(account: Account, *contacts: Any) -> BulkJob:
    job, slice_ids = accept_batch(account, *contacts)
    drive(list(slice_ids))
    return fresh(job)


def fresh(job: BulkJob) -> BulkJob:
    job.refresh_from_db()
    slices = BulkSlice.objects.filter(job=job).values("success_count", "error_count")
    sums = Counter[str]()
    for part in slices:
        sums.update(part)
    assert (sums["success_count"], sums["error_count"]) == (job.success_count, job.error_count)
    return job


def codes(job: BulkJob) -> list[tuple[int, str]]:
    return [(entry["index"], entry["code"]) for entry in json.loads(job.summary)["errors"]]


def retried(job: BulkJob) -> list[int]:
    """Retry the job; the ids of the slices that are to run again."""
    control.retry(job.pk)
    [slice_ids] = fairness.take(job.account_id).values()
    return slice_ids


def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the provider answers, and whoever asks may ask at once."""
    for number in (SILENT, ALSO_SILENT):
        monkeypatch.setitem(NUMBERS, number, Number())
    Lookup.objects.update(retry_at=timezone.now() - timedelta(hours=1))


def paid(number: str, **fields: Any) -> dict[str, Any]:
    return contact(number, use_validation=True, **fields)


def test_only_what_got_no_answer_runs_again_and_all_counts_stay_right(
    account: Account, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, plain = new_number(), contact()
    job = run(
        account, paid(SILENT), paid(good), plain, contact("nope"), paid(ALSO_SILENT, custom_fields={"a": 1})
    )
    assert (job.status, job.success_count, job.error_count) == ("completed", 2, 3)
    assert codes(job) == [(0, "provider_error"), (3, "invalid_phone"), (4, "provider_error")]
    before, csv_before = outcomes(job), list(errors_csv(job))
    written = dict(ListContact.objects.values_list("pk", "updated_at"))
    answered(monkeypatch)

    slice_ids = retried(job)
    running = fresh(job)
    assert (running.status, running.processed, running.success_count, running.error_count) == (
        "processing",
        5,
        2,
        3,
    )
    assert (outcomes(job), list(errors_csv(job))) == (before, csv_before)
    assert BulkSlice.objects.filter(pk__in=slice_ids).values_list("lane", "size").get() == ("live", 2)

    drive(slice_ids)
    ended = fresh(job)
    assert (ended.status, ended.processed, ended.success_count, ended.error_count) == ("completed", 5, 4, 1)
    assert codes(ended) == [(3, "invalid_phone")]
    summary = json.loads(ended.summary)
    assert (summary["contacts_created"], summary["list_contacts_created"]) == (4, 4)
    rows = outcomes(job)
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["outcome"] for row in rows] == ["created", "created", "created", "failed", "created"]
    assert [row for row in rows if row["index"] in {1, 2, 3}] == [before[1], before[2], before[3]]
    assert LedgerEntry.objects.count() == 3
    assert stub.asked("telnyx", good) == 1
    unchanged = dict(ListContact.objects.filter(pk__in=written).values_list("pk", "updated_at"))
    assert unchanged == written
    with pytest.raises(ApiError) as refused:
        control.retry(job.pk)
    assert (refused.value.status, refused.value.code) == (409, "not_retryable")


def test_what_gets_no_answer_again_can_be_retried_again(
    account: Account, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = run(account, paid(SILENT), contact())
    for _ in range(3):
        drive(retried(job))
        assert (fresh(job).status, codes(job), job.error_count) == ("completed", [(0, "provider_error")], 1)
    answered(monkeypatch)
    drive(retried(job))
    assert (fresh(job).status, codes(job), job.success_count) == ("completed", [], 2)
    assert LedgerEntry.objects.count() == 1


def test_a_second_retry_meanwhile_is_refused(account: Account, stub: Stub) -> None:
    job = run(account, paid(SILENT))
    slice_ids = retried(job)
    with pytest.raises(ApiError) as refused:
        control.retry(job.pk)
    assert refused.value.code == "not_retryable"
    assert BulkSlice.objects.filter(job=job, status="pending").count() == len(slice_ids) == 1


def test_a_retry_that_is_cancelled_leaves_the_job_as_it_was(
    account: Account, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = run(account, paid(SILENT), contact(), contact("nope"))
    before, summary = outcomes(job), job.summary
    slice_ids = retried(job)
    control.cancel(job.pk)
    drive(slice_ids)  # a worker that comes too late
    assert (fresh(job).status, job.summary, outcomes(job)) == ("completed", summary, before)
    answered(monkeypatch)
    drive(retried(job))
    assert (fresh(job).success_count, codes(job)) == (2, [(2, "invalid_phone")])


def test_a_retry_that_is_cancelled_between_two_slices_keeps_what_the_first_did(
    account: Account, stub: Stub, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRACKLY_LIVE_SLICE_SIZE = 1
    job = run(account, paid(SILENT), paid(ALSO_SILENT))
    answered(monkeypatch)
    first, _ = retried(job)
    drive([first])
    control.cancel(job.pk)
    assert (fresh(job).status, job.processed, job.success_count, job.error_count) == ("completed", 2, 1, 1)
    assert [code for _, code in codes(job)] == ["provider_error"]
    drive(retried(job))
    assert (fresh(job).success_count, codes(job), LedgerEntry.objects.count()) == (2, [], 2)


def test_a_worker_that_dies_in_the_middle_costs_nothing_twice(
    account: Account, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = run(account, paid(SILENT))
    answered(monkeypatch)
    [slice_id] = retried(job)
    with monkeypatch.context() as dying:
        dying.setattr(processing, "finish", _dies)
        with pytest.raises(RuntimeError):
            processing.process(slice_id)
    assert (fresh(job).error_count, LedgerEntry.objects.count(), ListContact.objects.count()) == (1, 0, 0)
    asked = stub.asked("telnyx", SILENT)
    drive([slice_id])
    drive([slice_id])
    assert (fresh(job).success_count, LedgerEntry.objects.count(), ListContact.objects.count()) == (1, 1, 1)
    assert stub.asked("telnyx", SILENT) == asked  # its answer was kept


def _dies(*_: Any, **__: Any) -> bool:
    raise RuntimeError("the worker dies")


def test_a_retry_that_can_not_be_processed_fails_like_any_other(
    account: Account, stub: Stub, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = run(account, paid(SILENT), contact())
    [slice_id] = retried(job)
    abandon.give_up(slice_id)
    finalize(job.pk)
    assert (fresh(job).status, codes(job)) == ("failed", [(0, "internal_error")])
    answered(monkeypatch)
    drive(retried(job))
    assert (fresh(job).status, codes(job), job.success_count) == ("completed", [], 2)


def test_a_failed_job_runs_both_again(
    account: Account, stub: Stub, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRACKLY_SLICE_SIZE = 1
    job, slice_ids = accept_batch(account, paid(SILENT), contact())
    abandon.give_up(slice_ids[1])
    drive(slice_ids[:1])
    finalize(job.pk)
    assert (fresh(job).status, codes(job)) == ("failed", [(0, "provider_error"), (1, "internal_error")])
    answered(monkeypatch)
    control.retry(job.pk)
    drive([slice_id for made in fairness.take(account.pk).values() for slice_id in made])
    assert (fresh(job).status, codes(job), job.success_count) == ("completed", [], 2)


def test_who_may_not_be_billed_any_more_is_told_so_and_nothing_changes(account: Account, stub: Stub) -> None:
    job = run(account, paid(SILENT), contact())
    BillingConfig.objects.update(status="suspended")
    before = list(BulkSlice.objects.filter(job=job).order_by("pk").values())
    with pytest.raises(ApiError) as refused:
        control.retry(job.pk)
    assert (refused.value.status, refused.value.code) == (402, "suspended")
    assert list(BulkSlice.objects.filter(job=job).order_by("pk").values()) == before
    assert fresh(job).status == "completed"


def test_look_ups_that_run_again_keep_no_other_job_waiting(
    account: Account, stub: Stub, settings: Any
) -> None:
    settings.TRACKLY_JOBS_IN_FLIGHT = 1
    job = run(account, paid(SILENT))
    retried(job)
    other, _ = accept_batch(account, contact())
    assert other.sent_at is not None
