"""A slice in this process: what it does, how often, and what happens when something breaks."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from psycopg import errors

from accounts.models import Account
from billing import ledger
from billing.models import BillingConfig, Disposition, LedgerEntry, PaymentMethod, Validation
from billing.validation import Finding
from contacts.models import Contact, ListContact
from devstack.sandbox.server import Stub
from ingestion.batch import read_batch, unpack
from ingestion.intake.accept import accept
from ingestion.jobs import claims, control
from ingestion.jobs import process as processing
from ingestion.jobs.finalize import finalize
from ingestion.models import BulkSlice, Incident
from ingestion.pipeline import screening
from journeys.models import Enrollment
from lookups.models import Lookup
from tests.support import accept_batch, contact, joins, new_account, new_journey, new_numbers, statements

pytestmark = pytest.mark.django_db


def run(account: Account, *contacts: Any) -> dict[str, Any]:
    """A batch from acceptance to summary, without a queue."""
    job, slice_ids = accept_batch(account, *contacts)
    while slice_ids:
        slice_ids += processing.process(slice_ids.pop()).made
    job.refresh_from_db()
    assert job.has_ended
    assert job.processed == job.total == job.success_count + job.error_count
    summary: dict[str, Any] = json.loads(job.summary)
    return summary


def billed(account: Account) -> Account:
    PaymentMethod.objects.create(
        billing=BillingConfig.objects.create(account=account), brand="visa", last_four="1"
    )
    return account


def test_a_slice_that_runs_again_does_nothing_again() -> None:
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact(), contact())
    assert processing.process(slice_id).made == processing.process(slice_id).made == []
    job.refresh_from_db()
    assert (job.processed, ListContact.objects.count()) == (2, 2)


def test_a_run_that_comes_second_at_the_commit_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers hold the same slice: the sweep sent it while the first was slow."""
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact())
    known = screening.known

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(screening, "known", known)
        processing.process(slice_id)
        return known(*arguments)

    monkeypatch.setattr(screening, "known", overtaken)
    processing.process(slice_id)
    job.refresh_from_db()
    assert (job.processed, Contact.objects.count()) == (1, 1)


def test_what_breaks_at_the_end_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact())
    monkeypatch.setattr(processing, "finish", _raise(RuntimeError("the worker dies")))
    with pytest.raises(RuntimeError):
        processing.process(slice_id)
    assert not Contact.objects.exists()
    monkeypatch.undo()
    processing.process(slice_id)
    job.refresh_from_db()
    assert (job.success_count, Contact.objects.count()) == (1, 1)


def test_a_deadlock_is_run_again_without_a_trace(monkeypatch: pytest.MonkeyPatch, stub: Stub) -> None:
    account = billed(new_account()[0])
    finish, victims = claims.finish, [1, 2]

    def deadlocked(*arguments: Any, **options: Any) -> bool:
        if victims:
            victims.pop()
            raise OperationalError from errors.DeadlockDetected()
        return finish(*arguments, **options)

    monkeypatch.setattr(processing, "finish", deadlocked)
    summary = run(account, contact("+12025550115", use_validation=True), contact())
    assert (summary["success_count"], summary["error_count"], LedgerEntry.objects.count()) == (1, 1, 1)
    assert stub.asked("telnyx", "+12025550115") == 1
    assert not victims


def test_a_slice_that_always_breaks_is_given_up_and_the_job_fails(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRACKLY_SLICE_ATTEMPTS = 2
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact("+14155559876"), contact("bad"))
    monkeypatch.setattr(processing, "find_lists", _raise(RuntimeError))
    pending = [slice_id]
    while pending:
        try:
            pending += processing.process(pending[0]).made
        except RuntimeError:
            continue
        pending.pop(0)
    job.refresh_from_db()
    codes = [(entry["index"], entry["code"]) for entry in json.loads(job.summary)["errors"]]
    assert (job.status, job.error_count, codes) == (
        "failed",
        2,
        [(0, "internal_error"), (1, "invalid_phone")],
    )
    assert job.has_ended
    assert not Contact.objects.exists()


def test_a_message_that_comes_twice_is_no_failed_attempt(settings: Any) -> None:
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact())
    assert claims.claim(slice_id) is not None
    for _ in range(10):
        assert processing.process(slice_id).made == []
    assert BulkSlice.objects.get().attempts == 0
    settings.TRACKLY_SLICE_LEASE = -1  # he who took it has fallen silent
    processing.process(slice_id)
    job.refresh_from_db()
    assert (job.success_count, BulkSlice.objects.get().attempts) == (1, 1)


def test_a_slice_whose_workers_all_fall_silent_is_given_up(settings: Any) -> None:
    settings.TRACKLY_SLICE_LEASE = -1
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact())
    for _ in range(settings.TRACKLY_SLICE_ATTEMPTS):  # the first finds a slice that nobody has had
        assert claims.claim(slice_id) is not None
    processing.process(slice_id)
    job.refresh_from_db()
    assert (job.status, job.error_count) == ("failed", 1)


def test_one_contact_that_kills_its_workers_does_not_keep_the_others(settings: Any) -> None:
    """Each run of a slice with the poison in it ends with its worker; the same task comes back at once."""
    account, _ = new_account()
    contacts = [contact() for _ in range(100)]
    contacts[37]["custom_fields"] = {"poison": True}
    job, pending = accept_batch(account, *contacts)
    deaths = 0
    while pending:
        [slice_] = BulkSlice.objects.filter(pk=pending[0])
        is_run = slice_.attempts + (slice_.claimed_at is not None) < (
            processing.halved_after() if slice_.size > 1 else settings.TRACKLY_SLICE_ATTEMPTS
        )
        if is_run and "poison" in str(unpack(slice_.payload)):
            assert claims.claim(pending[0], by="its task") is not None  # and the worker dies
            deaths += 1
        else:
            pending += processing.process(pending.pop(0), by="its task").made
    job.refresh_from_db()
    [error] = json.loads(job.summary)["errors"]
    assert (job.status, job.success_count, error["index"], error["code"]) == (
        "failed",
        99,
        37,
        "internal_error",
    )
    assert deaths < 14  # two, then one for each halving, then three alone
    kinds = Counter(Incident.objects.values_list("kind", flat=True))
    assert kinds == {"halved": 6, "given_up": 1}
    control.retry(job.pk)
    [slice_id] = job.slices.filter(status="pending").values_list("pk", flat=True)
    assert processing.process(slice_id).made == []
    job.refresh_from_db()
    assert (job.status, job.success_count, ListContact.objects.count()) == ("completed", 100, 100)


def test_contacts_of_one_number_stay_together_when_a_slice_is_halved() -> None:
    account, _ = new_account()
    one, two = new_numbers(2)
    sent = [contact(n, custom_fields={"n": i}) for i, n in enumerate([one, two, one, two, one])]
    job, [slice_id] = accept_batch(account, *sent)
    BulkSlice.objects.update(attempts=2)
    halves = processing.process(slice_id).made
    assert [processing.process(half).made for half in halves] == [[], []]
    job.refresh_from_db()
    assert (job.success_count, job.processed) == (5, 5)
    fields = {m.contact.phone_number: m.custom_fields for m in ListContact.objects.select_related("contact")}
    assert fields == {one: {"n": 4}, two: {"n": 3}}


def test_a_contact_that_can_not_even_be_read_does_not_keep_the_job_from_ending(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRACKLY_SLICE_ATTEMPTS = 1
    account, _ = new_account()
    job, [slice_id] = accept_batch(account, contact())
    monkeypatch.setattr(processing, "read", _raise(ValueError("unreadable")))
    with pytest.raises(ValueError, match="unreadable"):
        processing.process(slice_id)
    processing.process(slice_id)
    job.refresh_from_db()
    assert json.loads(job.summary)["errors"][0]["code"] == "internal_error"


def test_a_journey_of_another_account_greets_nobody() -> None:
    account, sending_list = new_account()
    stranger, _ = new_account()
    new_journey(stranger, joins(sending_list), name="theirs")
    summary = run(account, contact(use_journeys=True), contact("bad"))
    assert summary["journeys_enrolled"] == 0
    assert "warnings" not in run(account, contact())


def test_a_contact_that_fails_has_asked_for_journeys_all_the_same() -> None:
    account, sending_list = new_account()
    new_journey(account, joins(sending_list))
    assert "warnings" not in run(account, contact(), contact("bad", use_journeys=True))


def test_the_number_of_statements_does_not_depend_on_the_slices_size() -> None:
    account, sending_list = new_account()
    new_journey(account, joins(sending_list))

    def count(*contacts: Any) -> int:
        _, [slice_id] = accept_batch(account, *contacts)
        with statements() as sent:
            processing.process(slice_id)
        return len(sent)

    def batch(count: int) -> list[Any]:
        numbers = new_numbers(count)
        return [contact(n, use_journeys=True, custom_fields={"a": "b"}) for n in numbers]

    small, large = batch(2), batch(300)
    assert count(*small) == count(*large)
    changed = [[{**c, "custom_fields": {"a": "c"}} for c in [*known, contact()]] for known in (small, large)]
    assert count(*changed[0]) == count(*changed[1])


def test_what_needs_the_network_is_put_off_and_the_rest_is_visible_first(stub: Stub) -> None:
    account = billed(new_account()[0])
    quick = contact()
    job, [slice_id] = accept_batch(account, contact("+12025550112"), quick, contact(use_validation=True))
    later = processing.process(slice_id).made
    job.refresh_from_db()
    assert (job.status, job.processed) == ("processing", 1)
    assert [row.phone_number for row in Contact.objects.all()] == [quick["phone_number"]]
    assert finalize(job.pk) is None
    assert not stub.log.outcomes
    assert [part.lane for part in BulkSlice.objects.filter(pk__in=later)] == ["live"]
    for put_off in later:
        processing.process(put_off)
    job.refresh_from_db()
    assert job.status == "completed"
    assert Contact.objects.count() == 3


def test_contacts_of_one_number_are_put_off_together_and_stay_in_order(stub: Stub) -> None:
    account = billed(new_account()[0])
    [number] = new_numbers(1)
    summary = run(
        account,
        contact(number, custom_fields={"a": 1}),
        contact(number, custom_fields={"a": 2}, use_validation=True),
        contact(number, custom_fields={"a": 3}),
    )
    assert summary["success_count"] == 3
    assert ListContact.objects.get().custom_fields == {"a": 3}
    assert stub.asked("telnyx", number) == 1


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("number", "code", "disposition"),
    [
        ("+13105558888", "not_sendable", None),
        ("+12025550101", "not_sendable", None),
        ("+12025550102", "not_sendable", None),
        ("+12025550103", None, "ok"),
        ("+12025550104", None, "ok"),
        ("+12025550112", None, "risky"),
        ("+12025550113", None, "unknown"),
        ("+12025550114", "validation_failed", "unreachable"),
        ("+12025550115", "validation_failed", "invalid"),
        ("+12025550116", "provider_error", None),
        ("+14155552671", None, "ok"),
    ],
)
def test_the_sandboxs_numbers_behave_as_its_table_says(
    stub: Stub, number: str, code: str | None, disposition: str | None
) -> None:
    account = billed(new_account()[0])
    summary = run(account, contact(number, use_validation=True))
    assert [entry["code"] for entry in summary["errors"]] == ([code] if code else [])
    found = Validation.objects.first()
    assert (found.disposition if found else None) == disposition
    assert LedgerEntry.objects.count() == (1 if disposition else 0)


def test_a_ported_number_is_answered_after_two_seconds_and_says_so(stub: Stub) -> None:
    assert run(billed(new_account()[0]), contact("+12025550117", use_validation=True))["success_count"] == 1
    assert Validation.objects.get().ported


def test_voip_is_accepted_by_an_account_that_takes_it_and_known_to_the_next(stub: Stub) -> None:
    takes, _ = new_account(rejects_voip=False)
    rejects, _ = new_account()
    assert run(takes, contact("+12025550101"))["contacts_created"] == 1
    asked = stub.asked("twilio", "+12025550101")
    assert (
        run(rejects, contact("+12025550101"))["errors"][0]["error"]
        == "Phone number is a rejected VOIP number"
    )
    assert stub.asked("twilio", "+12025550101") == asked == 1


def test_nobody_pays_for_a_number_that_is_rejected_anyway(stub: Stub) -> None:
    summary = run(billed(new_account()[0]), contact("+442079460958", use_validation=True))
    assert [entry["code"] for entry in summary["errors"]] == ["not_sendable"]
    assert not stub.log.outcomes


def test_a_number_that_nobody_answered_for_is_unverified_and_left_alone_for_a_while(stub: Stub) -> None:
    account, _ = new_account()
    stub.faults.dead = True
    assert run(account, contact("+12025550112"))["contacts_created"] == 1
    assert Contact.objects.get().verified_at is None
    stub.faults.dead = False
    asked = stub.asked("twilio", "+12025550112")
    assert run(account, contact("+12025550112"))["list_contacts_created"] == 0
    assert (Contact.objects.get().verified_at, stub.asked("twilio", "+12025550112")) == (None, asked)


def test_an_unverified_number_that_is_due_is_verified_with_the_next_batch(stub: Stub) -> None:
    account, _ = new_account()
    stub.faults.dead = True
    run(account, contact("+12025550112"))
    stub.faults.dead = False
    Lookup.objects.update(retry_at=timezone.now() - timedelta(hours=1))
    assert run(account, contact("+12025550112"))["list_contacts_created"] == 0
    found = Contact.objects.get()
    assert found.verified_at is not None
    assert (found.line_type, found.carrier) == ("CELL PHONE", "Sandbox Wireless")


def test_somebody_elses_result_that_was_stored_meanwhile_counts_and_is_not_charged(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = billed(new_account()[0])
    look_up = screening.look_up

    def overtaken(*arguments: Any, **options: Any) -> None:
        look_up(*arguments, **options)
        theirs = Finding(Disposition.INVALID, False, "mobile", "", False, False, "US")  # noqa: FBT003
        ledger.record(account.pk, {"+12025550112": theirs})

    monkeypatch.setattr(screening, "look_up", overtaken)
    summary = run(account, contact("+12025550112", use_validation=True))
    assert summary["errors"][0]["validation"]["disposition"] == "invalid"
    assert summary["errors"][0]["validation"]["cached"] is True
    assert LedgerEntry.objects.count() == 1  # theirs


def test_text_that_no_column_holds_is_said_back_as_it_was_sent() -> None:
    account, _ = new_account()
    job, [slice_id] = accept(
        account, read_batch({"contacts": rb'[{"phone_number":"\ud800\u0000","list_number":"x"}]'})
    )
    processing.process(slice_id)
    job.refresh_from_db()
    assert r'"phone_number":"\ud800\u0000"' in job.summary


def test_a_deleted_list_is_not_found_and_another_accounts_neither() -> None:
    account, sending_list = new_account()
    stranger, _ = new_account()
    sending_list.status = "deleted"
    sending_list.save()
    for who, code in ((account, ["list_not_found"]), (stranger, [])):
        assert [entry["code"] for entry in run(who, contact())["errors"]] == code


def test_only_active_journeys_of_the_list_enroll() -> None:
    account, sending_list = new_account()
    for status in ("draft", "active", "paused", "archived"):
        new_journey(account, joins(sending_list), name=status, status=status)
    new_journey(account, None, name="elsewhere")
    assert run(account, contact(use_journeys=True))["journeys_enrolled"] == 1
    assert Enrollment.objects.get().journey.name == "active"


@pytest.mark.parametrize(
    ("before", "given", "replace", "outcome"),
    [
        ({"a": 1}, {}, False, "unchanged"),
        ({"a": 1}, {"a": 1}, False, "unchanged"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True, "unchanged"),
        ({"a": 1}, {"a": True}, False, "updated"),
        ({"a": 1}, {"b": 1}, False, "updated"),
        ({"a": 1}, {}, True, "updated"),
        ({"a": 1}, None, True, "unchanged"),  # nothing to replace them with
    ],
)
def test_what_became_of_each_contact(before: Any, given: Any, replace: bool, outcome: str) -> None:
    account, _ = new_account()
    [number] = new_numbers(1)
    run(account, contact(number, custom_fields=before))
    fields = {} if given is None else {"custom_fields": given}
    run(account, contact(number, **fields, replace_custom_fields=replace))
    member = ListContact.objects.get()
    results = [json.loads(part.results) for part in BulkSlice.objects.order_by("pk")]
    assert results == [
        [[0, "created", member.contact_id, member.pk, 0]],
        [[0, outcome, member.contact_id, member.pk, 0]],
    ]


def _raise(error: Any) -> Callable[..., Any]:
    def raising(*_: Any, **__: Any) -> Any:
        raise error

    return raising


def test_a_verified_number_is_looked_up_again_when_its_answer_has_grown_old(stub: Stub) -> None:
    account, _ = new_account()
    run(account, contact("+12025550112"))
    old = timezone.now() - timedelta(days=91)
    Contact.objects.update(verified_at=old, carrier="Before")
    Lookup.objects.update(answered_at=old)
    run(account, contact("+12025550112"))
    assert stub.asked("twilio", "+12025550112") == 2
    found = Contact.objects.get()
    assert (found.carrier, found.verified_at is not None and found.verified_at > old) == (
        "Sandbox Wireless",
        True,
    )


def test_a_do_not_call_source_that_is_away_costs_no_second_paid_look_up(stub: Stub, settings: Any) -> None:
    account = billed(new_account()[0])
    [number] = new_numbers(1)
    right, settings.REALPHONEVALIDATION_URL = settings.REALPHONEVALIDATION_URL, "http://127.0.0.1:9"
    summary = run(account, contact(number, use_validation=True))
    assert [entry["code"] for entry in summary["errors"]] == ["provider_error"]
    settings.REALPHONEVALIDATION_URL = right
    Lookup.objects.filter(retry_at__isnull=False).update(retry_at=timezone.now() - timedelta(days=1))
    assert run(account, contact(number, use_validation=True))["success_count"] == 1
    assert stub.asked("telnyx", number) == 1
    assert LedgerEntry.objects.count() == 1


def test_an_answer_that_was_paid_for_outlives_the_worker_that_got_it(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = billed(new_account()[0])
    [number] = new_numbers(1)
    job, [slice_id] = accept_batch(account, contact(number, use_validation=True))
    [live] = processing.process(slice_id).made
    monkeypatch.setattr(processing, "_take_effect", _raise(RuntimeError("killed before the commit")))
    with pytest.raises(RuntimeError):
        processing.process(live)
    assert (LedgerEntry.objects.count(), Validation.objects.count()) == (0, 0)
    monkeypatch.undo()
    processing.process(live)
    job.refresh_from_db()
    assert job.status == "completed"
    assert stub.asked("telnyx", number) == 1
    assert LedgerEntry.objects.values_list("validation__phone_number", flat=True).get() == number
