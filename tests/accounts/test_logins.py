"""Logins to the admin: how many passwords are checked, of whom, and who is kept out by whom."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client, RequestFactory

from accounts import logins
from accounts.logins import Backend, LoginRefused, client_address
from devstack.stack import Stack
from tests.support import eventually

FORM = {"username": "operator", "password": "right"}


def _request(address: str) -> HttpRequest:
    return RequestFactory().post("/admin/login/", REMOTE_ADDR=address)


class _Checks:
    """Takes the place of Django's check of a password: begins, and waits until it is let on."""

    def __init__(self) -> None:
        self.under_way = 0
        self.began: list[str] = []
        self.most = 0
        self._lock = threading.Lock()
        self.step_until_blocked = threading.Semaphore(0)

    def __call__(self, request: HttpRequest, *_: Any, **__: Any) -> None:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self.began.append(request.META["REMOTE_ADDR"])
        assert self.step_until_blocked.acquire(timeout=300)
        with self._lock:
            self.under_way -= 1


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[_Checks]:
    settings.TRACKLY_LOGIN_RATE = 0
    made = _Checks()
    monkeypatch.setattr(logins, "_line", logins.Line())
    monkeypatch.setattr(logins, "_PATIENCE_SECONDS", 300.0)
    monkeypatch.setattr(ModelBackend, "authenticate", lambda _, *given, **more: made(*given, **more))
    yield made
    made.step_until_blocked.release(100)


def test_a_process_checks_one_password_at_a_time_and_of_each_address_one(checks: _Checks) -> None:
    addresses = [f"198.51.100.{number}" for number in range(4)]
    with ThreadPoolExecutor(8) as pool:

        def log_in(address: str) -> "Future[Any]":
            return pool.submit(Backend().authenticate, _request(address), "operator", "guess")

        waiting = [log_in(addresses[0])]
        eventually(lambda: checks.began == addresses[:1])
        for position, address in enumerate(addresses[1:], 2):
            waiting.append(log_in(address))
            eventually(lambda: len(logins._line._waiting) == position)  # noqa: B023 - called here
        for address, status in ((addresses[0], 429), (addresses[3], 429), ("198.51.100.99", 503)):
            with pytest.raises(LoginRefused) as refused:  # at once: nothing has moved on
                Backend().authenticate(_request(address), "operator", "guess")
            assert refused.value.status == status
        assert checks.began == addresses[:1]
        for number in range(1, 5):
            checks.step_until_blocked.release()
            eventually(lambda: len(checks.began) == min(number + 1, 4))  # noqa: B023
        assert [done.result(timeout=300) for done in waiting] == [None] * 4
    assert checks.began == addresses  # in the order in which they came
    assert checks.most == 1
    checks.step_until_blocked.release()
    assert Backend().authenticate(_request(addresses[0]), "operator", "guess") is None


def test_who_waits_too_long_is_told_so_and_leaves_the_line(
    checks: _Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "_PATIENCE_SECONDS", 0.01)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(Backend().authenticate, _request("198.51.100.1"), "operator", "guess")
        eventually(lambda: len(checks.began) == 1)
        with pytest.raises(LoginRefused) as refused:
            Backend().authenticate(_request("198.51.100.2"), "operator", "guess")
        assert (refused.value.status, list(logins._line._waiting)) == (503, ["198.51.100.1"])
        checks.step_until_blocked.release()
        assert first.result(timeout=300) is None
    assert not logins._line._waiting


@pytest.mark.django_db
def test_an_address_has_so_many_passwords_checked_in_a_minute_whatever_the_names(
    client: Client, servers: Stack, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And another address has its own."""
    settings.REDIS_URL, settings.TRACKLY_LOGIN_RATE = servers.environment["REDIS_URL"], 3
    monkeypatch.setattr(
        "accounts.throttling.time.time", lambda: 4e9 + id(client) % 1_000_000 * 60
    )  # one minute, ours
    User.objects.create_superuser("operator", password="right")
    checked: list[str] = []
    original = ModelBackend.authenticate

    def check(self: ModelBackend, request: HttpRequest, username: str, *given: Any, **more: Any) -> Any:
        checked.append(username)
        return original(self, request, username, *given, **more)

    monkeypatch.setattr(ModelBackend, "authenticate", check)
    attacker = [
        client.post(
            "/admin/login/", {"username": f"name{number}", "password": "x"}, REMOTE_ADDR="203.0.113.9"
        )
        for number in range(32)
    ]
    assert [answer.status_code for answer in attacker] == [200] * 3 + [429] * 29
    assert checked == ["name0", "name1", "name2"]
    assert int(attacker[-1]["Retry-After"]) in range(1, 61)
    assert attacker[-1].content.startswith(b"Too many logins from your address.")
    assert client.post("/admin/login/", FORM, REMOTE_ADDR="198.51.100.8").status_code == 302


@pytest.mark.django_db
def test_behind_a_proxy_no_client_locks_out_another(client: Client, settings: Any) -> None:
    settings.TRACKLY_TRUSTED_PROXIES, settings.TRACKLY_LOGIN_RATE = 1, 0
    User.objects.create_superuser("operator", password="right")

    def log_in(password: str, forwarded: str) -> int:
        form = {"username": "operator", "password": password}
        headers = {"X-Forwarded-For": forwarded}
        return client.post("/admin/login/", form, headers=headers, REMOTE_ADDR="10.0.0.1").status_code

    guesses = [log_in("wrong", "203.0.113.9") for _ in range(6)]
    assert guesses == [200] * 4 + [429] * 2
    assert log_in("right", "203.0.113.9") == 429
    assert log_in("right", "198.51.100.8, 203.0.113.9") == 429  # what it claims to be does not count
    assert log_in("right", "198.51.100.8") == 302


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, None, "10.0.0.1"),
        (0, "198.51.100.8", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "198.51.100.8", "198.51.100.8"),
        (1, "1.1.1.1, 198.51.100.8", "198.51.100.8"),
        (2, "1.1.1.1, 198.51.100.8, 10.0.0.2", "198.51.100.8"),
        (2, "198.51.100.8", "10.0.0.1"),
        (1, "198.51.100.8:4711", "198.51.100.8"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (1, "[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::"),
        (1, "::ffff:198.51.100.8", "198.51.100.8"),
        (1, "unknown", "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "198.51.100.8, \x00", "10.0.0.1"),
    ],
)
def test_the_client_s_address(settings: Any, proxies: int, forwarded: str | None, found: str) -> None:
    settings.TRACKLY_TRUSTED_PROXIES = proxies
    request = _request("10.0.0.1")
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    assert client_address(request) == found


def test_without_an_address_there_is_none(settings: Any) -> None:
    settings.TRACKLY_TRUSTED_PROXIES = 0
    assert client_address(_request("")) is None
