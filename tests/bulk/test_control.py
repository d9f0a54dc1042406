"""Cancelling and retrying jobs, where they meet."""

import pytest

from billing.models import BillingConfig, PaymentMethod
from core.http.errors import ApiError
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.jobs import abandon, control, fairness
from ingestion.jobs import process as processing
from ingestion.jobs.finalize import finalize
from ingestion.models import BulkJob
from tests.support import LIST, new_account, new_number

pytestmark = pytest.mark.django_db


def failed_job() -> tuple[BulkJob, int]:
    """A job whose only slice was given up, not finalized yet."""
    account, _ = new_account()
    body = f'[{{"phone_number": "{new_number()}", "list_number": "{LIST}"}}]'
    job, [slice_id] = accept(account, read_batch({"contacts": body.encode()}))
    abandon.give_up(slice_id)
    return job, slice_id


def test_a_job_that_was_cancelled_too_late_can_be_retried() -> None:
    job, slice_id = failed_job()
    control.cancel(job.pk)
    job.refresh_from_db()
    assert job.status == "failed"  # there was nothing left to stop
    control.retry(job.pk)
    processing.process(slice_id)
    job.refresh_from_db()
    assert (job.status, job.success_count, job.error_count) == ("completed", 1, 0)


def test_a_retry_that_is_cancelled_leaves_the_errors_as_they_were() -> None:
    job, slice_id = failed_job()
    finalize(job.pk)
    control.retry(job.pk)
    control.cancel(job.pk)
    assert processing.process(slice_id).made == []
    job.refresh_from_db()
    assert (job.status, job.processed, job.success_count, job.error_count) == ("failed", 1, 0, 1)
    with pytest.raises(ApiError) as refused:
        control.cancel(job.pk)
    assert refused.value.code == "not_cancellable"


def test_who_may_not_be_billed_any_more_can_not_have_a_validation_retried() -> None:
    account, _ = new_account()
    config = BillingConfig.objects.create(account=account)
    PaymentMethod.objects.create(billing=config, brand="visa", last_four="4242")
    body = f'[{{"phone_number": "{new_number()}", "list_number": "{LIST}", "use_validation": true}}]'
    job, [slice_id] = accept(account, read_batch({"contacts": body.encode()}))
    abandon.give_up(slice_id)
    finalize(job.pk)
    BillingConfig.objects.update(status="suspended")
    with pytest.raises(ApiError) as refused:
        control.retry(job.pk)
    assert (refused.value.status, refused.value.code) == (402, "suspended")
    BillingConfig.objects.update(status="active")
    control.retry(job.pk)
    assert fairness.take(account.pk) == {(job.pk, "ingest"): [slice_id]}
