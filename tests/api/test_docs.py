"""The description and its page: read by GET; everything else is refused in the API's envelope."""

import pytest
from django.test import Client


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["openapi.json", "docs", "docs?script"])
def test_what_is_no_get_is_refused_in_json(path: str, method: str) -> None:
    """It was a page: Django's about CSRF, or DRF's."""
    answer = Client(enforce_csrf_checks=True).generic(method, f"/api/v2/{path}")
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["openapi.json", "docs"])
def test_it_is_read_by_get_and_head(path: str) -> None:
    assert Client().get(f"/api/v2/{path}").status_code == 200
    assert Client().head(f"/api/v2/{path}").status_code == 200
