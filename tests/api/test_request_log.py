"""`api_request`: one line for each request below /api/v2, answered or refused (docs/logs.md)."""

import io
import json
from typing import Any

import pytest
import structlog
from django.http import HttpResponse
from django.test import Client, RequestFactory
from structlog.testing import capture_logs

from accounts.keys import create_key
from accounts.models import Account
from core.http import request_log
from core.http.body import read_body
from core.logs import mask_numbers
from devstack.stack import Stack
from ingestion.jobs import waiting
from ingestion.jobs.process import process
from ingestion.models import BulkJob, BulkSlice
from tests.support import contact, new_account, new_number

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> str:
    return create_key(new_account()[0], name="a")[1]


@pytest.fixture
def _redis(servers: Stack, settings: Any) -> None:
    settings.REDIS_URL = servers.environment["REDIS_URL"]


def line_of(client: Client, method: str, where: str, **request: Any) -> tuple[dict[str, Any], HttpResponse]:
    """The only `api_request` of a request, and the request's answer."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        answer = getattr(client, method)(f"/api/v2{where}", **request)
    [line] = [dict(line) for line in logs if line["event"] == "api_request"]
    assert line.pop("request_id") == answer["X-Request-Id"]
    assert line.pop("log_level") == "info"
    assert 0 < line.pop("duration_ms") < 600_000
    del line["event"]
    return line, answer


def batch(*contacts: Any) -> dict[str, Any]:
    return {"data": json.dumps({"contacts": contacts}), "content_type": "application/json"}


@pytest.mark.usefixtures("_redis")
def test_a_batch_that_is_not_waited_for(client: Client, key: str) -> None:
    sent = batch(contact(), contact())
    headers = {"X-Api-Key": key, "Prefer": "respond-async"}
    line, answer = line_of(client, "post", "/contacts/bulk", **sent, headers=headers)
    assert line == {
        "method": "POST",
        "route": "/api/v2/contacts/bulk",
        "path": "/api/v2/contacts/bulk",
        "status": 202,
        "bytes_in": len(sent["data"]),
        "key": key[:8],
        "account": Account.objects.get().pk,
        "job": answer["Location"].rsplit("/", 1)[1],
        "contacts": 2,
        "waited": False,
    }
    assert BulkJob.objects.get().request_id == answer["X-Request-Id"]


@pytest.mark.usefixtures("_redis")
@pytest.mark.parametrize("where", ["/contacts/bulk", "/contacts"])
def test_a_request_that_waits_says_for_how_long(
    client: Client, key: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def process_meanwhile(*_: Any) -> str:
        process(BulkSlice.objects.get().pk)
        structlog.contextvars.unbind_contextvars("job")
        return "0"

    monkeypatch.setattr(waiting, "_sleep_until_announced", process_meanwhile)
    sent = batch(contact()) if where.endswith("bulk") else {**batch(), "data": json.dumps(contact())}
    line, answer = line_of(client, "post", where, **sent, headers={"X-Api-Key": key})
    assert (line["status"], line["waited"], line["contacts"]) == (answer.status_code, True, 1)
    assert 0 < line["waited_ms"] < 600_000
    assert answer.status_code in {200, 201}
    assert line["job"] == str(BulkJob.objects.get().pk)


def test_a_dry_run_says_so(client: Client, key: str) -> None:
    sent = batch(contact(), contact(), contact())
    line, _ = line_of(client, "post", "/contacts/bulk?dry_run=true", **sent, headers={"X-Api-Key": key})
    assert (line["status"], line["dry_run"], line["contacts"]) == (200, True, 3)
    assert "job" not in line
    assert "dry_run" not in line["path"]


@pytest.mark.parametrize(
    ("asked", "status", "code", "route"),
    [
        ("get /jobs", 401, "unauthorized", "/api/v2/jobs"),
        ("put /jobs", 405, "method_not_allowed", "/api/v2/jobs"),
        ("get /lists/0", 404, "not_found", "/api/v2/lists/{list_id}"),
        ("get /jobs?page=0", 400, "invalid_parameter", "/api/v2/jobs"),
        ("post /contacts/bulk", 415, "unsupported_media_type", "/api/v2/contacts/bulk"),
        ("get /nothing", 404, "not_found", None),
        ("get /jobs/", 404, "not_found", None),
    ],
)
def test_a_refused_request_has_its_line_too(  # noqa: PLR0917 - fixtures, and a table's columns
    client: Client, key: str, asked: str, status: int, code: str, route: str | None
) -> None:
    method, where = asked.split(" ")
    headers = {} if status == 401 else {"X-Api-Key": key}
    line, _ = line_of(client, method, where, headers=headers)
    assert (line["status"], line["code"], line.get("route")) == (status, code, route)
    assert ("account" in line) == (status != 401 and route is not None)


def test_a_request_for_a_job_names_it_also_where_there_is_none(client: Client, key: str) -> None:
    job = "7f3ee3a4-29a5-4a7f-9d6d-4d3c5a1f2b3c"
    line, _ = line_of(client, "post", f"/jobs/{job}/retry", headers={"X-Api-Key": key})
    assert (line["status"], line["job"], line["route"]) == (404, job, "/api/v2/jobs/{job_id}/retry")


def test_too_many_contacts_are_counted(client: Client, key: str) -> None:
    line, _ = line_of(client, "post", "/contacts/bulk", **batch(*[1] * 1001), headers={"X-Api-Key": key})
    assert (line["status"], line["code"], line["contacts"]) == (413, "too_many_contacts", 1001)


def test_a_body_without_a_declared_length_is_measured(rf: RequestFactory, key: str) -> None:
    """As gunicorn hands on `Transfer-Encoding: chunked`."""
    request = rf.post("/api/v2/contacts/bulk", b"[1]", content_type="application/json")
    del request.META["CONTENT_LENGTH"]
    request.META["wsgi.input"] = io.BytesIO(b"[1]")
    request.META["wsgi.input_terminated"] = True
    with request_log.noting() as noted:
        request_log.note(key=key[:8])
        assert read_body(request) == b"[1]"
    assert noted == {"key": key[:8], "bytes_in": 3}


@pytest.mark.parametrize("digits", ["+14155550123", "14155550123", "%2B14155550123"])
def test_a_path_shows_no_phone_number(client: Client, key: str, digits: str) -> None:
    line, _ = line_of(client, "get", f"/contacts/{digits}", headers={"X-Api-Key": key})
    assert "4155550123" not in mask_numbers(None, "info", json.dumps(line))


def test_what_is_not_below_the_api_has_no_line(client: Client) -> None:
    with capture_logs() as logs:
        client.get("/healthz")
        client.get("/admin/login/")
        client.get("/api/v2x")
    assert not [line for line in logs if line["event"] == "api_request"]


def test_a_request_inherits_nothing_of_the_one_before(client: Client, key: str) -> None:
    line_of(client, "get", "/lists", headers={"X-Api-Key": key})
    line, _ = line_of(client, "get", "/nothing")
    assert not line.keys() & {"account", "key", "route"}
    request_log.note(account=1)  # outside of a request: nowhere to put it


def test_routes_are_those_of_the_description(client: Client, key: str) -> None:
    described = set(client.get("/api/v2/openapi.json").json()["paths"])
    asked = {
        "/contacts": "get",
        f"/contacts/{new_number()}": "get",
        "/jobs/7f3ee3a4-29a5-4a7f-9d6d-4d3c5a1f2b3c/errors.csv": "get",
        "/lists/1": "get",
        "/usage": "get",
    }
    for where, method in asked.items():
        line, _ = line_of(client, method, where, headers={"X-Api-Key": key})
        assert line["route"] in described
