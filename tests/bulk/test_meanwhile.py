"""What changes between the acceptance of a batch and its slices: what is paid for, what takes effect."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from accounts import closing
from accounts.keys import create_key
from accounts.models import Account, ApiKey
from billing.models import BillingConfig, Invoice, LedgerEntry, PaymentMethod
from contacts.models import ListContact, SendingList
from core.http.codes import ErrorCode
from core.http.errors import ApiError
from devstack.sandbox.server import Stub
from ingestion.jobs import control, fairness
from ingestion.jobs import process as processing
from ingestion.jobs.results import outcomes
from ingestion.models import BulkJob, JobStatus
from tests.conftest import RunningStack
from tests.support import (
    Api,
    accept_batch,
    chargeable_account,
    contact,
    drive,
    eventually,
    new_number,
)

Change = Callable[[Account], object]


@pytest.fixture
def account(db: None) -> Account:
    return chargeable_account()


def ended(job: BulkJob) -> dict[str, Any]:
    """The summary of a job that has ended, with counts that add up."""
    job.refresh_from_db()
    assert job.status == JobStatus.COMPLETED
    assert job.processed == job.total == job.success_count + job.error_count
    summary: dict[str, Any] = json.loads(job.summary)
    return summary


def codes(summary: dict[str, Any]) -> list[tuple[int, str]]:
    return [(entry["index"], entry["code"]) for entry in summary["errors"]]


def paid(number: str | None = None, **fields: Any) -> dict[str, Any]:
    return contact(number, use_validation=True, **fields)


def cards(account: Account) -> QuerySet[PaymentMethod]:
    return PaymentMethod.objects.filter(billing__account=account)


def detach(account: Account) -> None:
    cards(account).update(detached_at=timezone.now())


def attach(account: Account) -> None:
    cards(account).update(detached_at=None)


def fail_an_invoice(account: Account) -> None:
    Invoice.objects.create(account=account, month="2026-10-01", micro_dollars=1, cents=100, status="failed")


def void_it(account: Account) -> None:
    Invoice.objects.filter(account=account).update(status="void")


def suspend_validation(account: Account) -> None:
    BillingConfig.objects.filter(account=account).update(status="suspended")


def resume_validation(account: Account) -> None:
    BillingConfig.objects.filter(account=account).update(status="active")


def delete_billing(account: Account) -> None:
    cards(account).delete()
    BillingConfig.objects.filter(account=account).delete()


def add_billing(account: Account) -> None:
    PaymentMethod.objects.create(billing=BillingConfig.objects.create(account=account), last_four="2")


def suspend(account: Account) -> None:
    assert closing.suspend(account.pk)


def close(account: Account) -> None:
    closing.close(account.pk)


def resume(account: Account) -> None:
    assert closing.resume(account.pk)


CHANGES: list[tuple[Change, Change, str]] = [
    (detach, attach, "no_payment_method"),
    (fail_an_invoice, void_it, "payment_failed"),
    (suspend_validation, resume_validation, "suspended"),
    (delete_billing, add_billing, "no_billing_config"),
    (suspend, resume, "account_suspended"),
    (close, resume, "account_suspended"),
]


@pytest.mark.parametrize(("change", "undo", "code"), CHANGES)
def test_what_may_not_be_charged_any_more_fails_and_a_retry_runs_it_again(
    account: Account, stub: Stub, change: Change, undo: Change, code: str
) -> None:
    number, known = new_number(), new_number()
    first, slice_ids = accept_batch(account, paid(known))
    drive(slice_ids)
    assert codes(ended(first)) == []

    job, slice_ids = accept_batch(
        account, paid(number), contact(), paid(known), paid(number, url="https://a.b/c")
    )
    change(account)
    drive(slice_ids)
    summary = ended(job)
    refused = {"phone_number": number, **ErrorCode(code).body()}
    assert summary["errors"] == [{"index": 0, **refused}, {"index": 3, **refused}]
    assert (summary["success_count"], LedgerEntry.objects.count()) == (2, 1)
    assert stub.asked("telnyx", number) == 0
    assert [row["outcome"] for row in outcomes(job)] == ["failed", "created", "unchanged", "failed"]
    assert outcomes(job)[2]["validation"]["cost"] == 0  # paid for before: it costs nothing

    undo(account)
    control.retry(job.pk)
    drive([slice_id for made in fairness.take(account.pk).values() for slice_id in made])
    assert codes(ended(job)) == []
    assert (job.success_count, LedgerEntry.objects.count(), stub.asked("telnyx", number)) == (4, 2, 1)


@pytest.mark.parametrize(("change", "code"), [(given[0], given[2]) for given in CHANGES])
def test_a_change_between_two_slices_stops_the_second(
    account: Account, stub: Stub, settings: Any, change: Change, code: str
) -> None:
    settings.TRACKLY_LIVE_SLICE_SIZE = 1
    job, slice_ids = accept_batch(account, paid(), paid())
    [first, second] = processing.process(slice_ids[0]).made
    drive([first])
    change(account)
    drive([second])
    assert codes(ended(job)) == [(1, code)]
    assert (job.success_count, LedgerEntry.objects.count()) == (1, 1)


def test_a_retry_is_refused_as_long_as_the_account_may_not_be_billed(account: Account, stub: Stub) -> None:
    job, slice_ids = accept_batch(account, paid())
    detach(account)
    drive(slice_ids)
    ended(job)
    with pytest.raises(ApiError) as refused:
        control.retry(job.pk)
    assert (refused.value.status, refused.value.code) == (402, "no_payment_method")
    assert codes(ended(job)) == [(0, "no_payment_method")]


def test_a_cancelled_retry_leaves_what_was_not_charged_as_it_was(account: Account, stub: Stub) -> None:
    job, slice_ids = accept_batch(account, paid(), contact())
    detach(account)
    drive(slice_ids)
    before = (ended(job), outcomes(job))
    attach(account)
    control.retry(job.pk)
    control.cancel(job.pk)
    assert (ended(job), outcomes(job)) == before


@pytest.mark.parametrize("change", [suspend, close])
def test_what_was_accepted_before_the_account_was_suspended_takes_effect(
    account: Account, change: Change
) -> None:
    job, slice_ids = accept_batch(account, contact(), contact())
    change(account)
    drive(slice_ids)
    assert (codes(ended(job)), ListContact.objects.count()) == ([], 2)


def test_what_was_accepted_with_a_key_takes_effect_after_it_was_revoked(
    account: Account, client: Client, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = create_key(account, name="soon gone")
    monkeypatch.setattr("ingestion.tasks.fan_out", lambda *_: None)  # the batch waits in the queue
    sent = client.post(
        "/api/v2/contacts/bulk",
        json.dumps({"contacts": [paid(), contact()]}),
        content_type="application/json",
        headers={"X-Api-Key": key, "Prefer": "respond-async"},
    )
    assert sent.status_code == 202
    ApiKey.objects.update(revoked_at=timezone.now())
    job = BulkJob.objects.get(pk=sent.json()["job_id"])
    drive(list(job.slices.values_list("pk", flat=True)))
    assert (codes(ended(job)), LedgerEntry.objects.count()) == ([], 1)


def test_a_list_that_was_deleted_meanwhile_is_not_found_and_nothing_is_charged(
    account: Account, stub: Stub
) -> None:
    number = new_number()
    job, slice_ids = accept_batch(account, paid(number), contact())
    SendingList.objects.update(status="deleted")
    drive(slice_ids)
    assert codes(ended(job)) == [(0, "list_not_found"), (1, "list_not_found")]
    assert (LedgerEntry.objects.count(), stub.asked("telnyx", number)) == (0, 0)


def test_a_list_that_was_deleted_while_the_look_up_waited_is_not_found(account: Account, stub: Stub) -> None:
    number = new_number()
    job, slice_ids = accept_batch(account, paid(number), contact())
    later = processing.process(slice_ids[0]).made
    SendingList.objects.update(status="deleted")
    drive(later)
    assert codes(ended(job)) == [(0, "list_not_found")]
    assert (LedgerEntry.objects.count(), stub.asked("telnyx", number)) == (0, 0)


def card_returns(stack: RunningStack, api: Api) -> None:
    stack.rows(
        "UPDATE billing_paymentmethod SET detached_at = NULL WHERE billing_id IN"
        " (SELECT id FROM billing_billingconfig WHERE account_id = %s)",
        api.account_id,
    )


def test_a_single_contact_is_answered_as_the_gate_would(stack: RunningStack) -> None:
    """With real workers: the card goes between acceptance and the look-up."""
    api = stack.account("--billing", "active")
    # As after an acceptance that saw the card: a trigger takes it away with the job's row.
    stack.rows(
        "CREATE FUNCTION card_goes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE billing_paymentmethod SET detached_at = now() WHERE billing_id IN"
        " (SELECT id FROM billing_billingconfig WHERE account_id = NEW.account_id); RETURN NEW; END $$"
    )
    stack.rows(
        "CREATE TRIGGER card_goes AFTER INSERT ON bulk_bulkjob FOR EACH ROW"
        f" WHEN (NEW.account_id = {int(api.account_id)}) EXECUTE FUNCTION card_goes()"
    )
    try:
        single = api.post("/contacts", json=paid())
        card_returns(stack, api)
        batch = api.bulk(paid(), contact())
    finally:
        stack.rows("DROP TRIGGER card_goes ON bulk_bulkjob")
        stack.rows("DROP FUNCTION card_goes")
    assert (single.status_code, single.json()["code"]) == (402, "no_payment_method")
    assert (batch.status_code, codes(batch.json())) == (200, [(0, "no_payment_method")])
    job = batch.headers["Location"].removeprefix("/api/v2")
    rows = api.get(f"{job}/results", params={"code": "no_payment_method"}).json()["results"]
    assert [row["index"] for row in rows] == [0]
    card_returns(stack, api)
    assert api.post(f"{job}/retry").status_code == 202
    again = eventually(lambda: api.get(job).json(), lambda found: found["status"] == "completed")
    assert (again["success_count"], again["error_count"]) == (2, 0)
