"""Query parameters that no operation names are refused, on every path and method below /api/v2."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.urls import reverse

from tests.conftest import RunningStack
from tests.support import LIST, contact
from trackly.api.urls import urlpatterns

_SAMPLES = {
    "job_id": "00000000-0000-0000-0000-000000000000",
    "list_id": "1",
    "phone_number": "+14155559876",
}
"""For each name in a path: something that fits."""


def operations() -> Iterator[tuple[str, str, Any]]:
    """Method, path and handler of everything that is served below /api/v2."""
    for pattern in urlpatterns:
        served: Any = pattern.callback  # what as_view() of DRF made: it names its view
        names = pattern.pattern.regex.groupindex
        path = reverse(served, kwargs={name: _SAMPLES[name] for name in names})
        for method in ("get", "head", "post", "put", "patch", "delete"):
            if handler := getattr(served.cls, "get" if method == "head" else method, None):
                yield method.upper(), path.removeprefix("/api/v2"), handler


OPERATIONS = list(operations())


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    body = response.json()
    return response.status_code, body["code"], body.get("field")


@pytest.mark.parametrize(("method", "path", "handler"), OPERATIONS, ids=lambda value: str(value)[:60])
def test_a_parameter_that_an_operation_does_not_name_is_refused_and_so_is_one_given_twice(
    stack: RunningStack, method: str, path: str, handler: Any
) -> None:
    api = stack.shared
    body: dict[str, Any] = {"json": {}} if handler.reads_body else {}
    for query in ("surprise=1", "surprise", "surprise=1&page=x", "Page=1"):
        answer = api.request(method, f"{path}?{query}", **body)
        assert answer.status_code == 400
        if method != "HEAD":
            assert refusal(answer) == (400, "invalid_parameter", query.split("=")[0].split("&")[0])
    for name in handler.query_parameters:
        twice = api.request(method, f"{path}?{name}=1&{name}=2", **body)
        assert twice.status_code == 400
        if method != "HEAD":
            assert refusal(twice) == (400, "invalid_parameter", name)


def test_what_is_described_is_what_is_taken(stack: RunningStack) -> None:
    described = httpx.get(f"{stack.base}/api/v2/openapi.json").json()["paths"]
    named = {
        (method.upper(), re.sub(r"{(\w+)}", lambda found: _SAMPLES[found[1]], path)): {
            parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"
        }
        for path, methods in described.items()
        for method, operation in methods.items()
    }
    taken = {
        (method, f"/api/v2{path}"): handler.query_parameters
        for method, path, handler in OPERATIONS
        if method != "HEAD"
    }
    assert named == {**taken, ("GET", "/api/v2"): set()}
    assert len(taken) > 15


@pytest.mark.parametrize("path", ["", "/openapi.json", "/docs"])
def test_the_description_takes_none_either(stack: RunningStack, path: str) -> None:
    assert refusal(httpx.get(f"{stack.base}/api/v2{path}?surprise=1")) == (
        *(400, "invalid_parameter"),
        "surprise",
    )


def test_the_checks_before_it_come_first(stack: RunningStack) -> None:
    url, text = "/contacts/bulk?surprise=1", {"Content-Type": "text/plain"}
    assert httpx.post(f"{stack.base}/api/v2{url}", content=b"x", headers=text).status_code == 401
    api = stack.account()
    assert api.post(url, content=b"x", headers=text).status_code == 415
    large = {"contacts": "x" * 5_000_000}
    assert api.post(url, json=large).status_code == 413
    assert refusal(api.post(url, content=b"{", headers={"Content-Type": "application/json"}))[0] == 400
    many = {"contacts": [contact()] * 1_001}
    assert refusal(api.post(url, json=many)) == (400, "invalid_parameter", "surprise")
    assert api.put("/jobs?surprise=1").status_code == 405
    assert api.request("OPTIONS", "/jobs?surprise=1").status_code == 405
    assert api.get("/nothing?surprise=1").status_code == 404
    stack.rows("UPDATE accounts_account SET requests_per_minute = 1 WHERE id = %s", api.account_id)
    answers = [api.get("/jobs?surprise=1") for _ in range(3)]  # the minute may end meanwhile
    assert 429 in {answer.status_code for answer in answers}
    stack.rows("UPDATE accounts_account SET suspended_at = now() WHERE id = %s", api.account_id)
    assert api.get("/jobs?surprise=1").status_code == 403


def test_a_dry_run_that_there_is_not_runs_nothing(stack: RunningStack) -> None:
    api = stack.account()
    given = contact()
    assert refusal(api.post("/contacts?dry_run=true", json=given)) == (400, "invalid_parameter", "dry_run")
    assert api.get("/jobs").json()["jobs"] == []
    api.summary(given)
    numbers = {"phone_number": given["phone_number"], "list_number": LIST}
    refused = api.request("DELETE", "/contacts", params={**numbers, "dry_run": "true"})
    assert refusal(refused) == (400, "invalid_parameter", "dry_run")
    assert api.get(f"/contacts/{given['phone_number']}").json()["memberships"][0]["active"]


def test_more_parameters_than_anybody_reads_are_refused_too(stack: RunningStack) -> None:
    answer = stack.shared.get(f"/jobs?{'&'.join('a' * 1_001)}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
