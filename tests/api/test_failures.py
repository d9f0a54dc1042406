"""What a client is told when we are at fault."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from accounts.keys import create_key
from core.logs import mask_numbers
from tests.support import new_account


def _raise(error: Exception) -> Any:
    def raising(*_: Any, **__: Any) -> Any:
        raise error

    return raising


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.django_db
def test_what_nobody_foresaw_is_answered_with_a_request_id_and_logged_with_it(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, key = create_key(new_account()[0], name="a")
    monkeypatch.setattr("contacts.queries.visible_lists", _raise(ZeroDivisionError("secret")))
    response = client.get("/api/v2/contacts", headers={"X-Api-Key": key})
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "secret" not in response.content.decode()
    logged = "".join(f"{record.msg}" for record in caplog.records)
    assert response.headers["X-Request-Id"] in logged
    assert "ZeroDivisionError" in logged
    assert key not in logged


@pytest.mark.parametrize("path", ["/api/v2/contacts", "/api/v2/nope", "/api/v2/openapi.json"])
def test_an_exception_in_a_middleware_is_json_too(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(
        "django.middleware.common.CommonMiddleware.process_request", _raise(ZeroDivisionError())
    )
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert response.headers["X-Request-Id"]


def test_without_a_database_the_service_is_unavailable(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.authentication.find_key", _raise(OperationalError("gone")))
    response = client.post("/api/v2/contacts/bulk", headers={"X-Api-Key": "trk_" + "a" * 32})
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
def test_an_unknown_path_is_json_whatever_the_method(method: str) -> None:
    response = getattr(Client(enforce_csrf_checks=True), method)("/api/v2/nope")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_logged_traceback_shows_no_variables(log_format: str) -> None:
    """What failed may have held a key or a phone number."""
    program = (
        "import django, structlog; django.setup()\n"
        "secret = 'trk_' + 'z' * 32\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: structlog.get_logger('x').error('failed', exc_info=True)\n"
    )
    environment = {**os.environ, "LOG_FORMAT": log_format, "SECRET_KEY": "x", "LOG_LEVEL": "INFO"}
    environment |= {"DJANGO_SETTINGS_MODULE": "trackly.settings"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "Traceback" in done.stderr
    assert "z" * 32 not in done.stderr
    if log_format == "json":
        [line] = done.stderr.splitlines()
        assert json.loads(line)["event"] == "failed"


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ('{"phone_number": "+14155552671"}', '{"phone_number": "+1415…"}'),
        ("Key (phone_number)=(+442079460958) exists", "Key (phone_number)=(+4420…) exists"),
        ("2026-11-22T03:46:50+00:00 1 + 2", "2026-11-22T03:46:50+00:00 1 + 2"),
    ],
)
def test_no_log_line_holds_a_whole_phone_number(line: str, masked: str) -> None:
    assert mask_numbers(None, "info", line) == masked
