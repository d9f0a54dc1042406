"""Each error example of the description is what the service really says: provoked, and compared."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client

from tests.conftest import RunningStack
from tests.contract.described import Operation, error_examples, operations
from tests.contract.test_jobs import held, poisoned
from tests.support import LIST, Api, contact, eventually, new_number

OPERATIONS = operations()
EXAMPLES = error_examples()
NOWHERE = "/jobs/00000000-0000-0000-0000-000000000000"
NO_LIST = f"/lists/{10**17}"
TEXT = {"content": b"x", "headers": {"Content-Type": "text/plain"}}
HUGE = {"content": b'{"contacts": ["' + b"x" * 5_000_001, "headers": {"Content-Type": "application/json"}}
PAID = {"use_validation": True}
BILLING = {
    "no_billing_config": "none",
    "no_payment_method": "no_payment_method",
    "payment_failed": "payment_failed",
    "suspended": "suspended",
}
Provoke = Callable[[RunningStack], httpx.Response]


def sent(method: str, path: str, **how: Any) -> Provoke:
    """A request that is refused whatever the account is."""
    return lambda stack: stack.shared.request(method, path, **how)


def alone(**fields: Any) -> Provoke:
    """A single contact, of an account that may be billed."""
    return lambda stack: stack.account("--billing", "active").post("/contacts", json=contact(**fields))


def unbilled(path: str, state: str, body: Any) -> Provoke:
    return lambda stack: stack.account("--billing", state).post(path, json=body)


def reused(path: str, body: Callable[[], Any]) -> Provoke:
    def provoke(stack: RunningStack) -> httpx.Response:
        api = stack.account()
        for _ in range(2):
            answer = api.post(path, json=body(), headers={"Idempotency-Key": "k"})
        return answer

    return provoke


def of_job(action: str) -> Provoke:
    """What is done to a job that has completed."""

    def provoke(stack: RunningStack) -> httpx.Response:
        return stack.shared.post(f"/jobs/{stack.shared.job(stack.shared.bulk(contact()))['job_id']}/{action}")

    return provoke


@contextmanager
def busy(stack: RunningStack, api: Api) -> Iterator[None]:
    """As long as this lasts, the account has as many jobs under way as it may: another one is not started."""
    number = new_number()
    with held(stack, number):
        for _ in range(settings.TRACKLY_JOBS_IN_FLIGHT):
            assert api.bulk(contact(number), prefer="respond-async").status_code == 202
        yield


def cancelled(stack: RunningStack) -> httpx.Response:
    """A single contact whose job is cancelled before it is started."""
    api = stack.account()

    def single() -> list[str]:
        return [job["job_id"] for job in api.get("/jobs").json()["jobs"] if job["kind"] == "contacts.single"]

    with busy(stack, api), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(api.post, "/contacts", json=contact())
        [job_id] = eventually(single)
        assert api.post(f"/jobs/{job_id}/cancel").status_code == 200
    return answer.result()


def unknown(operation: Operation) -> Provoke:
    """A parameter that the operation does not describe."""
    body: dict[str, Any] = {"json": {}} if "requestBody" in operation.about else {}

    def provoke(stack: RunningStack) -> httpx.Response:
        key = {"X-Api-Key": stack.shared.headers["X-Api-Key"]}
        url = f"{stack.base}{operation.path_with_nothing}?verbose=1"
        return httpx.request(operation.method, url, headers=key, **body)

    return provoke


def unsubscribe(phone_number: str = "", list_number: str = "") -> Provoke:
    return sent("DELETE", "/contacts", params={"phone_number": phone_number, "list_number": list_number})


PROVOKED: dict[tuple[str, str], Provoke] = {
    ("bulk_create_contacts", "invalid_json"): sent("POST", "/contacts/bulk", json=[]),
    ("bulk_create_contacts", "payload_too_large"): sent("POST", "/contacts/bulk", **HUGE),
    ("bulk_create_contacts", "unsupported_media_type"): sent("POST", "/contacts/bulk", **TEXT),
    ("bulk_create_contacts", "missing_contacts"): sent("POST", "/contacts/bulk", json={}),
    ("bulk_create_contacts", "too_many_contacts"): sent(
        "POST", "/contacts/bulk", json={"contacts": [1] * 1001}
    ),
    ("bulk_create_contacts", "invalid_parameter"): sent("POST", "/contacts/bulk?dry_run=maybe", json={}),
    ("bulk_create_contacts", "idempotency_key_reused"): reused(
        "/contacts/bulk", lambda: {"contacts": [contact()]}
    ),
    ("create_contact", "invalid_json"): sent("POST", "/contacts", json=[]),
    ("create_contact", "unsupported_media_type"): sent("POST", "/contacts", **TEXT),
    ("create_contact", "invalid_parameter"): sent(
        "POST", "/contacts", json={}, headers={"Idempotency-Key": "a b"}
    ),
    ("create_contact", "idempotency_key_reused"): reused("/contacts", contact),
    ("create_contact", "cancelled"): cancelled,
    ("create_contact", "invalid_contact"): sent(
        "POST",
        "/contacts",
        content=b'{"a": ' + b"[" * 150 + b"]" * 150 + b"}",
        headers={"Content-Type": "application/json"},
    ),
    ("create_contact", "payload_too_large"): alone(custom_fields={"note": "x" * 4000}),
    ("create_contact", "missing_phone_number"): sent("POST", "/contacts", json={"list_number": LIST}),
    ("create_contact", "missing_list_number"): alone(list_number=None),
    ("create_contact", "invalid_phone"): alone(phone_number="4155559876"),
    ("create_contact", "invalid_list_number"): alone(list_number="18005551234"),
    ("create_contact", "invalid_field"): alone(signup_date="yesterday"),
    ("create_contact", "list_not_found"): alone(list_number="+18005550000"),
    ("create_contact", "not_sendable"): alone(phone_number="+13105558888"),
    ("create_contact", "validation_failed"): alone(phone_number="+12025550114", **PAID),
    ("create_contact", "provider_error"): alone(phone_number="+12025550116", **PAID),
    ("list_contacts", "invalid_parameter"): sent("GET", "/contacts?page=0"),
    ("list_contacts", "list_not_found"): sent("GET", "/contacts", params={"list_number": "+18005550000"}),
    ("unsubscribe", "invalid_json"): sent("DELETE", "/contacts", json=[]),
    ("unsubscribe", "payload_too_large"): sent("DELETE", "/contacts", **HUGE),
    ("unsubscribe", "unsupported_media_type"): sent("DELETE", "/contacts", **TEXT),
    ("unsubscribe", "missing_phone_number"): unsubscribe(),
    ("unsubscribe", "missing_list_number"): unsubscribe("+14155559876"),
    ("unsubscribe", "invalid_phone"): unsubscribe("4155559876", LIST),
    ("unsubscribe", "invalid_list_number"): unsubscribe("+14155559876", "1"),
    ("get_contact", "not_found"): sent("GET", "/contacts/+14155550000"),
    ("get_list", "not_found"): sent("GET", NO_LIST),
    ("list_lists", "invalid_parameter"): sent("GET", "/lists?page=0"),
    ("create_list", "invalid_json"): sent("POST", "/lists", json=[]),
    ("create_list", "payload_too_large"): sent("POST", "/lists", **HUGE),
    ("create_list", "unsupported_media_type"): sent("POST", "/lists", **TEXT),
    ("create_list", "missing_phone_number"): sent("POST", "/lists", json={}),
    ("create_list", "invalid_phone"): sent("POST", "/lists", json={"phone_number": "18005551234"}),
    ("create_list", "invalid_field"): sent(
        "POST", "/lists", json={"phone_number": new_number(), "status": "deleted"}
    ),
    ("create_list", "list_exists"): sent("POST", "/lists", json={"phone_number": LIST}),
    ("change_list", "invalid_json"): sent("PATCH", NO_LIST, json=[]),
    ("change_list", "payload_too_large"): sent("PATCH", NO_LIST, **HUGE),
    ("change_list", "unsupported_media_type"): sent("PATCH", NO_LIST, **TEXT),
    ("change_list", "invalid_field"): sent("PATCH", NO_LIST, json={"status": "gone"}),
    ("change_list", "not_found"): sent("PATCH", NO_LIST, json={"status": "paused"}),
    ("export_list_contacts", "not_found"): sent("GET", f"{NO_LIST}/contacts.csv"),
    ("get_usage", "invalid_parameter"): sent("GET", "/usage?month=January"),
    ("list_jobs", "invalid_parameter"): sent("GET", "/jobs?page=0"),
    ("get_job", "not_found"): sent("GET", NOWHERE),
    ("list_job_results", "invalid_parameter"): sent("GET", f"{NOWHERE}/results?page=0"),
    ("list_job_results", "not_found"): sent("GET", f"{NOWHERE}/results"),
    ("get_job_errors", "not_found"): sent("GET", f"{NOWHERE}/errors.csv"),
    ("retry_job", "not_found"): sent("POST", f"{NOWHERE}/retry"),
    ("retry_job", "not_retryable"): of_job("retry"),
    ("cancel_job", "not_found"): sent("POST", f"{NOWHERE}/cancel"),
    ("cancel_job", "not_cancellable"): of_job("cancel"),
}
for _code, _state in BILLING.items():
    _batch = {"contacts": [contact("+14155559876", **PAID)]}
    PROVOKED["bulk_create_contacts", _code] = unbilled("/contacts/bulk", _state, _batch)
    PROVOKED["create_contact", _code] = unbilled("/contacts", _state, _batch["contacts"][0])
for _name, _operation in OPERATIONS.items():
    PROVOKED.setdefault((_name, "invalid_parameter"), unknown(_operation))

OF_A_KEY = ("unauthorized", "account_suspended", "forbidden", "rate_limited")
AT_FAULT = ("internal_error", "unavailable")
OF_A_RETRY = {("retry_job", code) for code in BILLING}


def masked(body: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from the example: the account's rate and the time, the scope, the list."""
    match body["code"]:
        case "rate_limited":
            return {**body, "error": re.sub(r"[0-9]+", "0", body["error"])}
        case "forbidden":
            return {**body, "error": body["error"].replace(body["scope"], "…"), "scope": "…"}
        case "list_exists":
            assert type(body["list_id"]) is int
            return {**body, "list_id": 0}
    return body


def is_as_described(operation: str, status: int, body: dict[str, Any]) -> None:
    assert (status, masked(body)) == (
        (described := EXAMPLES[operation, body["code"]])[0],
        masked(described[1]),
    )


def test_every_example_is_provoked() -> None:
    everywhere = {(name, code) for name in OPERATIONS for code in (*OF_A_KEY, *AT_FAULT)}
    everywhere -= {("get_index", code) for code in (*OF_A_KEY, "unavailable")}
    assert EXAMPLES.keys() == PROVOKED.keys() | OF_A_RETRY | everywhere


@pytest.mark.parametrize(("operation", "code"), PROVOKED)
def test_what_is_refused_is_refused_as_described(stack: RunningStack, operation: str, code: str) -> None:
    answer = PROVOKED[operation, code](stack)
    assert (answer.json()["code"], answer.headers["Content-Type"]) == (code, "application/json")
    is_as_described(operation, answer.status_code, answer.json())
    assert answer.headers["X-Request-Id"]


@pytest.fixture(scope="module")
def refused(stack: RunningStack) -> dict[str, Api]:
    """Accounts whose every request is refused, by code."""
    found = {code: stack.account() for code in OF_A_KEY}
    found["unauthorized"].headers["X-Api-Key"] = "trk_" + "x" * 32
    change = "UPDATE accounts_account SET {} WHERE id = %s"
    stack.rows(change.format("suspended_at = now()"), found["account_suspended"].account_id)
    stack.rows(change.format("requests_per_minute = 1"), found["rate_limited"].account_id)
    narrow = "UPDATE accounts_apikey SET scopes = '{webhooks}' WHERE account_id = %s"
    stack.rows(narrow, found["forbidden"].account_id)
    return found


@pytest.mark.parametrize("code", OF_A_KEY)
@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"get_index"}))
def test_every_operation_refuses_a_key_as_described(refused: dict[str, Api], name: str, code: str) -> None:
    operation = OPERATIONS[name]
    path = operation.path_with_nothing.removeprefix("/api/v2")
    # At the turn of the minute a request is let through; at most one in a minute is.
    answer = eventually(
        lambda: refused[code].request(operation.method, path),
        lambda answer: answer.json().get("code") == code,
    )
    is_as_described(name, answer.status_code, answer.json())


@pytest.mark.parametrize(
    ("code", "error"), [("internal_error", ZeroDivisionError()), ("unavailable", OperationalError())]
)
@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"get_index"}))
def test_every_operation_tells_of_our_faults_as_described(
    monkeypatch: pytest.MonkeyPatch, name: str, code: str, error: Exception
) -> None:
    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr("accounts.authentication.find_key", fail)
    operation = OPERATIONS[name]
    answer = Client(raise_request_exception=False).generic(operation.method, operation.path_with_nothing)
    assert answer.json()["code"] == code
    is_as_described(name, answer.status_code, answer.json())


def test_the_index_tells_of_our_faults_as_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackly.api.docs.Response", lambda _: 1 / 0)
    answer = Client(raise_request_exception=False).get("/api/v2")
    is_as_described("get_index", answer.status_code, answer.json())


def test_a_retry_that_would_be_billed_is_refused_as_described(stack: RunningStack) -> None:
    api, number = stack.account("--billing", "active"), new_number()
    with poisoned(stack, number):
        job = api.ended_job(api.bulk(contact(number, **PAID)))
    assert job["status"] == "failed"
    mine = "(SELECT id FROM billing_billingconfig WHERE account_id = %s)"
    met = []
    for change in (
        f"UPDATE billing_billingconfig SET status = 'payment_failed' WHERE id IN {mine}",
        f"UPDATE billing_billingconfig SET status = 'suspended' WHERE id IN {mine}",
        f"UPDATE billing_paymentmethod SET detached_at = now() WHERE billing_id IN {mine}",
        f"DELETE FROM billing_paymentmethod WHERE billing_id IN {mine}",
        "DELETE FROM billing_billingconfig WHERE account_id = %s",
    ):
        stack.rows(change, api.account_id)
        answer = api.post(f"/jobs/{job['job_id']}/retry")
        is_as_described("retry_job", answer.status_code, answer.json())
        met.append(answer.json()["code"])
    assert set(met) == BILLING.keys()
