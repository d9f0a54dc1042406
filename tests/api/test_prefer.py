"""`Prefer` (RFC 7240)."""

from typing import Any

import pytest
from django.test import RequestFactory

from core.http.prefer import Wait, wait_of


@pytest.mark.parametrize(
    ("prefer", "wait"),
    [
        (None, Wait(30, None)),
        ("respond-async", Wait(0, "respond-async")),
        ("Respond-Async", Wait(0, "respond-async")),
        ("wait=5", Wait(5, "wait=5")),
        ('wait="5"', Wait(5, "wait=5")),
        ("wait = 5; x=y", Wait(5, "wait=5")),
        ("wait=0", Wait(0, "wait=0")),
        ("wait=100", Wait(30, "wait=30")),
        ("respond-async, wait=10", Wait(10, "respond-async, wait=10")),
        ("return=minimal, wait=3, wait=9", Wait(3, "wait=3")),
        ("wait=-1", Wait(30, None)),
        ("wait=soon", Wait(30, None)),
        ("wait", Wait(30, None)),
        (",;=,", Wait(30, None)),
    ],
)
def test_what_is_preferred(settings: Any, prefer: str | None, wait: Wait) -> None:
    settings.TRACKLY_MAX_WAIT = 30.0
    headers = {} if prefer is None else {"Prefer": prefer}
    assert wait_of(RequestFactory().post("/", headers=headers)) == wait
