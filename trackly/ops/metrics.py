"""`GET /metrics`, for Prometheus: what waits, for how long, what had to be mended, and which processes live.

Counted in the database when it is asked for, so it is true of all processes and machines together.
"""

import hmac
import math
from collections.abc import Iterator
from typing import Any

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from core import sql
from core.celery import heartbeats
from core.leases import hold as leases
from ingestion.models import IncidentKind, Lane
from trackly.celery import app

logger = structlog.get_logger(__name__)

_SLICES = """
SELECT lane, count(*) AS slices, sum(size) AS contacts,
       extract(epoch FROM now() - min(job.created_at)) AS oldest
FROM bulk_bulkslice AS slice JOIN bulk_bulkjob AS job ON job.id = slice.job_id
WHERE slice.status = 'pending' GROUP BY lane
"""
_INCIDENTS = """
SELECT kind, count(*) AS happened FROM bulk_incident WHERE at > now() - interval '1 hour' GROUP BY kind
"""
_ENROLLMENTS = """
SELECT count(*) AS due, COALESCE(extract(epoch FROM now() - min(due_at)), 0) AS oldest
FROM journeys_enrollment WHERE status = 'active' AND claimed_at IS NULL AND due_at <= now()
"""
_MESSAGES = """
SELECT status, count(*) AS messages FROM journeys_outboundmessage
WHERE status IN ('sending', 'unconfirmed') OR (status = 'queued' AND due_at <= now()) GROUP BY status
"""


class _Work(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from _slices()
        incidents = GaugeMetricFamily(
            "trackly_incidents_last_hour", "What had to be mended (admin: incidents).", labels=["kind"]
        )
        happened = {row["kind"]: row["happened"] for row in sql.rows(_INCIDENTS, {})}
        for kind in IncidentKind.values:
            incidents.add_metric([kind], happened.get(kind, 0))
        yield incidents
        [due] = sql.rows(_ENROLLMENTS, {})
        yield GaugeMetricFamily("trackly_enrollments_due", "Due and not claimed.", value=due["due"])
        yield GaugeMetricFamily(
            "trackly_enrollments_oldest_seconds", "For how long the first has been due.", value=due["oldest"]
        )
        messages = GaugeMetricFamily("trackly_messages", "Not settled yet.", labels=["status"])
        counted = {row["status"]: row["messages"] for row in sql.rows(_MESSAGES, {})}
        for status in ("queued", "sending", "unconfirmed"):
            messages.add_metric([status], counted.get(status, 0))
        yield messages
        yield _periodic()
        yield from _processes()
        yield _queues()


def _periodic() -> GaugeMetricFamily:
    """By the database's clock: that of a worker which is wrong does not matter."""
    family = GaugeMetricFamily(
        "trackly_periodic_work_age_seconds",
        "Since its last run came to its end (the sweep's: every 5 s); +Inf: never.",
        labels=["work"],
    )
    for work, age in {"sweep": math.inf, **leases.ages()}.items():
        family.add_metric([work], age)
    return family


def _processes() -> Iterator[GaugeMetricFamily]:
    """By Redis' clock. No figures where Redis is away: nothing is known of them then."""
    alive = GaugeMetricFamily(
        "trackly_workers_alive",
        f"Workers that take from the queue and were heard of in the last {heartbeats.ALIVE_SECONDS:g} s.",
        labels=["queue"],
    )
    beat = GaugeMetricFamily(
        "trackly_beat_age_seconds", "Since beat last looked at its schedule; +Inf: not within an hour."
    )
    try:
        for queue, count in heartbeats.alive_by_queue(app.amqp.queues).items():
            alive.add_metric([queue], count)
        age = heartbeats.beat_age()
        beat.add_metric([], math.inf if age is None else age)
    except redis.RedisError as exc:
        logger.warning("workers_not_counted", exc_info=exc)
    yield alive
    yield beat


def _queues() -> GaugeMetricFamily:
    """No figures where the broker is away; those of the database are there all the same."""
    family = GaugeMetricFamily("trackly_queue_length", "Messages in the broker.", labels=["queue"])
    try:
        with app.connection_for_read() as connection:
            channel = connection.ensure_connection(max_retries=1, interval_start=0).channel()
            for name, queue in app.amqp.queues.items():
                declared: Any = queue.queue_declare(channel=channel)
                family.add_metric([name], declared.message_count)
    except Exception as exc:
        logger.warning("queues_not_counted", exc_info=exc)
    return family


def _slices() -> Iterator[GaugeMetricFamily]:
    waiting = {row["lane"]: row for row in sql.rows(_SLICES, {})}
    for name, column, what in (
        ("trackly_slices_pending", "slices", "Slices that have not ended."),
        ("trackly_contacts_pending", "contacts", "Contacts in them."),
        ("trackly_oldest_pending_seconds", "oldest", "Since the first of their jobs was accepted."),
    ):
        family = GaugeMetricFamily(name, what, labels=["lane"])
        for lane in Lane.values:
            family.add_metric([lane], float(waiting[lane][column]) if lane in waiting else 0)
        yield family


def metrics(request: HttpRequest) -> HttpResponse:
    """200 with the metrics; 404 without a TRACKLY_METRICS_TOKEN, 401 without it in `Authorization`."""
    token = settings.TRACKLY_METRICS_TOKEN
    if not token:
        return HttpResponse(status=404)
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Work())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
