"""`/healthz` and `/readyz`, for load balancers, orchestrators and `make up` (contract, "The rest")."""

from collections.abc import Callable

import structlog
from django.db import connection
from django.http import HttpRequest, HttpResponse

from core import codec, redis_client
from core.celery import heartbeats
from core.leases import hold as leases
from trackly.celery import app

logger = structlog.get_logger(__name__)

_SWEEP_SECONDS = 30.0
"""It runs every five, unless something is wrong."""


def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives."""
    return HttpResponse(b'{"status":"ok"}', content_type="application/json")


def readyz(request: HttpRequest) -> HttpResponse:
    """200 if database, broker and at least one worker answer, else 503; the body says which does not.

    A beat that stands still is shown, as "degraded", and no reason to take the web servers away: requests are
    accepted and processed all the same.
    """
    checks = {"database": _ok(_database), "broker": _ok(_broker)}
    checks["worker"] = checks["broker"] and _ok(heartbeats.any_alive)
    ready = all(checks.values())
    checks["beat"] = checks["database"] and _ok(_beat)
    status = "unavailable" if not ready else "ok" if checks["beat"] else "degraded"
    return HttpResponse(
        codec.encode({"status": status, "checks": checks}),
        status=200 if ready else 503,
        content_type="application/json",
    )


def _ok(check: Callable[[], object]) -> bool:
    try:
        return bool(check())
    except Exception as exc:
        logger.warning("not_ready", check=check.__name__, exc_info=exc)
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


def _broker() -> bool:
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
    return bool(redis_client.client().ping())  # with another broker, too: chords are counted in it


def _beat() -> bool:
    """Whether the sweep has run lately; without beat nothing that was lost is found."""
    age = leases.age("sweep")
    return age is not None and age < _SWEEP_SECONDS
