"""The line that every request of the API leaves in the log: `api_request` (docs/logs.md)."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse

logger = structlog.get_logger(__name__)

_PREFIX = "/api/v2"
_noted: ContextVar[dict[str, Any] | None] = ContextVar("noted", default=None)
_GROUP = re.compile(r"\(\?P<(\w+)>[^()]*\)")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_DIGITS = re.compile(r"([0-9]{4})[0-9]{3,}")


def note(**fields: Any) -> None:
    """Add fields to the line of the request that is being answered. In a command or task it does nothing."""
    if (noted := _noted.get()) is not None:
        noted.update(fields)


def request_id() -> str:
    """The id of the request that is being answered; empty without one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


@contextmanager
def noting() -> Iterator[dict[str, Any]]:
    """Collect what `note` is told of one request."""
    noted: dict[str, Any] = {}
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def is_logged(request: HttpRequest) -> bool:
    """Whether it is a request of the API."""
    return request.path == _PREFIX or request.path.startswith(f"{_PREFIX}/")


def write(request: HttpRequest, response: HttpResponse, started: float, noted: dict[str, Any]) -> None:
    """Write the line. `started`: of time.perf_counter; `noted`: what is known beside the request itself."""
    match = request.resolver_match
    route = _template(match.route) if match else None
    declared = request.META.get("CONTENT_LENGTH") or ""
    fields = {
        "method": request.method,
        "route": route,
        "path": request.path if route else _DIGITS.sub(r"\1…", request.path),
        "status": response.status_code,
        "duration_ms": round((time.perf_counter() - started) * 1000, 1),
        "bytes_in": int(declared) if declared.isdigit() else 0,
        **noted,
    }
    logger.info("api_request", **{name: value for name, value in fields.items() if value is not None})


@cache
def _template(route: str) -> str | None:
    """A route as the OpenAPI description writes it: `/api/v2/jobs/{job_id}`; None for no path of the API."""
    path = "/" + _PARAMETER.sub(r"{\1}", _GROUP.sub(r"<\1>", route)).replace("^", "").replace("$", "")
    return path if path.startswith(f"{_PREFIX}/") else None
