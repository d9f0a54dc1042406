"""Logins to the admin: what a check of a password costs is bounded, and each client counts for itself.

A password's digest takes half a second of CPU, so that stolen ones resist guessing (OWASP, "Password
Storage"), and it is computed for every login attempt, also an anonymous one. So a process checks one password
at a time and queues at most one per address, and each address has a number of attempts in a minute, whatever
names it tries. Failures are counted by name and address together (django-axes): guesses from one address do
not lock the user out at another (OWASP, "Authentication", "Account Lockout").
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import redis
import structlog
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse

from accounts.throttling import count_in_window

logger = structlog.get_logger(__name__)

_MOST_IN_LINE = 4
"""Addresses of a process whose password is being checked, or is next: each holds a thread of the server's."""
_PATIENCE_SECONDS = 5.0
_RETRY_SECONDS = 2
_IPV6_PREFIX = 64
"""Bits: what one subscriber has at least (RFC 6177), and may choose addresses of at will."""


class LoginRefused(Exception):
    """The password was not looked at. `status`: 429 if the client asks too often, 503 if too many ask."""

    def __init__(self, status: int, message: str, retry_seconds: int) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_seconds = status, message, retry_seconds


def client_address(request: HttpRequest) -> str | None:
    """The client's address: that of the connection, or what TRACKLY_TRUSTED_PROXIES proxies say it is.

    Each proxy appends to `X-Forwarded-For` the address that asked it, so the last so many entries are true;
    what is before them the client may have made up. A request with fewer did not pass all proxies. Of an IPv6
    address the network is returned. None: there is no address, as on a Unix socket.
    """
    proxies = settings.TRACKLY_TRUSTED_PROXIES
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    forwarded = _canonical(hops[-proxies]) if 0 < proxies <= len(hops) else None
    return forwarded or _canonical(request.META.get("REMOTE_ADDR", ""))


def _canonical(given: str) -> str | None:
    """The address without a port (`192.0.2.1:80`, `[2001:db8::1]:80`), of IPv6 its network."""
    text = given.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), _IPV6_PREFIX), strict=False).network_address)


class Line:
    """The queue for password checks, first in, first out: one entry per address, and few altogether."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[str | None] = deque()

    @contextmanager
    def turn(self, address: str | None) -> Iterator[None]:
        """Wait for the others before. Raises LoginRefused, at once if it or too many wait already."""
        with self._changed:
            if address in self._waiting:
                message = "Another login from your address is being checked."
                raise LoginRefused(429, message, _RETRY_SECONDS)
            if len(self._waiting) >= _MOST_IN_LINE:
                raise LoginRefused(503, "Too many logins at the moment.", _RETRY_SECONDS)
            self._waiting.append(address)
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: self._waiting[0] == address, _PATIENCE_SECONDS):
                    raise LoginRefused(503, "Too many logins at the moment.", _RETRY_SECONDS)
            yield
        finally:
            with self._changed:
                self._waiting.remove(address)
                self._changed.notify_all()


_line = Line()


class Backend(ModelBackend):
    """Django's own, with bounds. django-axes' comes first: a name that is locked out costs no check."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,
    ) -> User | None:
        """The user, if the password is right. Raises LoginRefused."""
        address = client_address(request) if request is not None else None
        _require_rate(address)
        with _line.turn(address):
            found: User | None = super().authenticate(request, username, password, **more)
            return found


def _require_rate(address: str | None) -> None:
    """Raise LoginRefused beyond TRACKLY_LOGIN_RATE; without Redis the login is allowed."""
    if not settings.TRACKLY_LOGIN_RATE:
        return
    try:
        used, reset_seconds = count_in_window(f"login:{address}")
    except redis.RedisError as exc:
        logger.warning("rate_limit_unknown", exc_info=exc)
        return
    if used > settings.TRACKLY_LOGIN_RATE:
        raise LoginRefused(429, "Too many logins from your address.", reset_seconds)


class Refusal:
    """Middleware: the answer to a login that was refused."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, LoginRefused):
            return None
        logger.warning("login_refused", address=client_address(request), status=exception.status)
        return HttpResponse(
            f"{exception.message} Try again in {exception.retry_seconds} seconds.\n",
            status=exception.status,
            content_type="text/plain; charset=utf-8",
            headers={"Retry-After": str(exception.retry_seconds)},
        )
