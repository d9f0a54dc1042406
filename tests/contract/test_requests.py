"""Preferences, idempotency keys, dry runs, rate limits, sizes."""

import gzip
import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import RunningStack
from tests.support import LIST, contact, new_number, new_numbers


def test_twenty_requests_with_one_key_at_once_make_one_job(any_stack: RunningStack) -> None:
    api = any_stack.account()
    body = {"contacts": [contact(n) for n in new_numbers(5)]}

    def send(_: int) -> tuple[int, str, Any]:
        response = api.post("/contacts/bulk", json=body, headers={"Idempotency-Key": "import-7"})
        return response.status_code, response.headers["Location"], api.ended_job(response)["summary"]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))
    assert {status for status, _, _ in answers} <= {200, 202}
    assert len({location for _, location, _ in answers}) == 1
    assert all(summary["contacts_created"] == 5 for _, _, summary in answers)
    assert any_stack.count("SELECT count(*) FROM bulk_bulkjob WHERE account_id = %s", api.account_id) == 1


def test_a_key_is_its_accounts_and_stands_for_one_request(stack: RunningStack) -> None:
    api, other = stack.account(), stack.account()
    headers = {"Idempotency-Key": "k"}
    body = {"contacts": [contact()]}
    first = api.post("/contacts/bulk", json=body, headers=headers)
    again = api.post("/contacts/bulk", json=body, headers=headers)
    assert (first.json(), first.headers["Location"]) == (again.json(), again.headers["Location"])
    for path, different in (
        ("/contacts/bulk", {"contacts": [contact()]}),
        ("/contacts", body["contacts"][0]),
    ):
        refused = api.post(path, json=different, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    theirs = other.post("/contacts/bulk", json=body, headers=headers)
    assert theirs.headers["Location"] != first.headers["Location"]
    stack.rows(
        "UPDATE bulk_bulkjob SET created_at = now() - interval '24 hours 1 second' WHERE account_id = %s",
        api.account_id,
    )
    late = api.post("/contacts/bulk", json={"contacts": [contact()]}, headers=headers)
    assert late.status_code == 200
    assert late.headers["Location"] != first.headers["Location"]


def test_a_refused_request_does_not_use_its_key_up(stack: RunningStack) -> None:
    api = stack.account()
    headers = {"Idempotency-Key": "k"}
    refused = api.post("/contacts/bulk", json={"contacts": [contact(use_validation=True)]}, headers=headers)
    assert refused.status_code == 402
    assert api.post("/contacts/bulk", json={"contacts": [contact()]}, headers=headers).status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_a_key_that_is_none_is_refused(stack: RunningStack, key: str) -> None:
    response = stack.shared.post(
        "/contacts/bulk",
        json={"contacts": [contact()]},
        headers=httpx.Headers({b"Idempotency-Key": key.encode()}),
    )
    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")


def test_a_dry_run_says_what_would_happen_and_nothing_happens(stack: RunningStack) -> None:
    api = stack.account("--welcome-journey", "Welcome", "--billing", "active")
    known = contact()
    api.summary(known)
    api.summary(contact("+12025550115", use_validation=True))
    number = new_number()
    batch = [
        contact(number, use_journeys=True),
        known,
        contact(number),
        contact("nope"),
        contact("+12025550115", use_validation=True),
        contact("+442079460958"),
    ]
    tables = (
        "contacts_contact",
        "contacts_listcontact",
        "bulk_bulkjob",
        "bulk_bulkslice",
        "journeys_enrollment",
    )

    def counted() -> list[int]:
        return [stack.count(f"SELECT count(*) FROM {table}") for table in tables]

    before = counted()
    rehearsed = api.post("/contacts/bulk", params={"dry_run": "true"}, json={"contacts": batch})
    assert rehearsed.status_code == 200
    assert counted() == before
    assert "Location" not in rehearsed.headers
    summary = api.summary(*batch)
    assert rehearsed.json() == {**summary, "dry_run": True}
    assert [entry["code"] for entry in summary["errors"]] == [
        "invalid_phone",
        "validation_failed",
        "not_sendable",
    ]


def test_a_dry_run_asks_nobody_and_refuses_as_acceptance_would(stack: RunningStack) -> None:
    api = stack.account()
    hanging = api.post("/contacts/bulk?dry_run=true", json={"contacts": [contact("+12025550104")]})
    assert hanging.json()["success_count"] == 1
    refused = api.post("/contacts/bulk?dry_run=true", json={"contacts": [contact(use_validation=True)]})
    assert (refused.status_code, refused.json()["code"]) == (402, "no_billing_config")
    assert api.post("/contacts/bulk?dry_run=maybe", json={"contacts": [1]}).json()["field"] == "dry_run"


def test_a_wait_runs_out_and_the_job_goes_on(stack: RunningStack) -> None:
    api = stack.account("--billing", "active")
    slow = contact("+12025550117", use_validation=True)
    response = api.bulk(slow, prefer="wait=1")
    assert (response.status_code, response.headers["Preference-Applied"]) == (202, "wait=1")
    assert response.headers["Location"] == response.json()["status_url"]
    assert api.ended_job(response)["summary"]["success_count"] == 1
    assert api.bulk(slow, prefer="wait=20").headers["Preference-Applied"] == "wait=20"


def test_more_waiters_than_allowed_block_nobody(stack: RunningStack) -> None:
    api = stack.account("--billing", "active")
    with ThreadPoolExecutor(40) as pool:
        slow = [
            pool.submit(api.bulk, contact(new_number()), contact("+12025550116", use_validation=True))
            for _ in range(40)
        ]
        assert api.get("/jobs").status_code == 200
        answers = [future.result() for future in slow]
    assert {answer.status_code for answer in answers} == {200, 202}
    for answer in answers:
        job = api.ended_job(answer)
        assert (job["success_count"], job["error_count"]) == (1, 1)


def test_an_accounts_rate_is_limited_if_it_is_set(stack: RunningStack) -> None:
    api = stack.account()
    assert "RateLimit" not in api.get("/jobs").headers
    stack.rows("UPDATE accounts_account SET requests_per_minute = 3 WHERE id = %s", api.account_id)
    answers = [api.get("/nope-is-not-counted"), *(api.get("/jobs") for _ in range(8))]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused  # at the turn of the minute two windows let six through, not eight
    assert refused[0].json()["code"] == "rate_limited"
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert refused[0].headers["RateLimit-Policy"] == '"account";q=3;w=60'
    assert refused[0].headers["RateLimit"].startswith('"account";r=0;t=')
    assert api.post("/contacts/bulk", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 429
    assert stack.shared.get("/jobs").status_code == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(stack: RunningStack) -> None:
    api = stack.shared
    connection = http.client.HTTPConnection(stack.base.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", "/api/v2/contacts/bulk")
    for name, value in (
        ("X-Api-Key", api.headers["X-Api-Key"]),
        ("Content-Type", "application/json"),
        ("Content-Length", "200000000"),
    ):
        connection.putheader(name, value)
    connection.endheaders(b'{"contacts": [')
    response = connection.getresponse()
    assert (response.status, json.load(response)["code"]) == (413, "payload_too_large")
    connection.close()


def test_a_body_of_unknown_length_is_read_to_the_limit_and_no_further(stack: RunningStack) -> None:
    sent = 0

    def endless() -> Any:
        nonlocal sent
        yield b'{"contacts": ["'
        for _ in range(2000):  # 200 MB
            sent += 1
            yield b"x" * 100_000

    try:
        response = stack.shared.post(
            "/contacts/bulk", content=endless(), headers={"Content-Type": "application/json"}
        )
        assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
    except Exception as exc:  # noqa: BLE001 - the server may close while the client still sends
        assert "Broken pipe" in str(exc) or "reset" in str(exc) or "disconnected" in str(exc)  # noqa: PT017
    assert sent < 1000


def test_a_compressed_body_is_refused_not_inflated(stack: RunningStack) -> None:
    bomb = gzip.compress(b'{"contacts": [' + b" " * 50_000_000 + b"]}")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = stack.shared.post("/contacts/bulk", content=bomb, headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/vnd.api+JSON"]
)
def test_json_by_any_of_its_names_is_json(stack: RunningStack, kind: str) -> None:
    body = json.dumps({"contacts": [{"list_number": LIST}]}).encode()
    response = stack.shared.post("/contacts/bulk", content=body, headers={"Content-Type": kind})
    assert response.json()["errors"][0]["code"] == "missing_phone_number"


def test_a_body_in_chunks_that_are_none_is_a_bad_request(stack: RunningStack) -> None:
    key = stack.shared.headers["X-Api-Key"]
    head = f"POST /api/v2/contacts/bulk HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    assert _raw(stack, head) == (400, "invalid_json")


@pytest.mark.parametrize(
    "head",
    [
        "GET /api/v2/jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /api/v2/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET /api/v2/jobs?" + "x" * 9000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /api/v2/jobs HTTP/1.1\r\nHost: localhost\r\nX-Long: " + "x" * 9000 + "\r\n\r\n",
        "nonsense\r\n\r\n",
    ],
    ids=lambda head: head[:30],
)
def test_what_is_refused_before_django_sees_it_is_json_too(stack: RunningStack, head: str) -> None:
    status, code = _raw(stack, head)
    assert 400 <= status < 500
    assert code == "invalid_request"


def _raw(stack: RunningStack, request: str) -> tuple[int, str]:
    """Send text as it is; the status and the code of the answer."""
    host, port = stack.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request.encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, json.load(response)["code"]


@pytest.mark.parametrize(
    "path", ["/jobs", "/contacts", "/lists", "/usage", "/nope", "/contacts/+14155550000"]
)
def test_no_cache_keeps_an_answer(stack: RunningStack, path: str) -> None:
    for answer in (stack.shared.get(path), stack.shared.get(path, headers={"X-Api-Key": "trk_no"})):
        assert answer.headers["Cache-Control"] == "no-store"
        assert "X-Api-Key" in answer.headers["Vary"]


def test_the_description_may_be_cached(stack: RunningStack) -> None:
    assert "Cache-Control" not in stack.shared.get("/openapi.json").headers
