"""`GET /metrics` on processes: which workers live, when beat and the sweep ran last."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from core.celery import heartbeats
from core.leases.hold import hold
from core.redis_client import client as redis_client
from devstack.stack import Stack

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty(servers: Stack, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.TRACKLY_METRICS_TOKEN, settings.REDIS_URL = "token", servers.environment["REDIS_URL"]
    monkeypatch.setattr(heartbeats, "_last_tick", -math.inf)
    _forget()
    yield
    _forget()


def _forget() -> None:
    for key in redis_client().scan_iter("trackly:*"):
        redis_client().delete(key)


def _metrics(client: Client) -> dict[tuple[str, str], float]:
    """Each sample by its name and its only label's value."""
    text = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_where_nothing_has_run_that_is_shown(client: Client) -> None:
    found = _metrics(client)
    assert found["trackly_periodic_work_age_seconds", "sweep"] == math.inf
    assert found["trackly_beat_age_seconds", ""] == math.inf
    for queue in ("settle", "ingest", "journeys", "messages", "live"):
        assert found["trackly_workers_alive", queue] == 0


def test_workers_are_counted_by_queue_and_forgotten_when_they_fall_silent(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats.beat("a@host", ["settle", "ingest"])
    heartbeats.beat("b@host", ["ingest"])
    found = _metrics(client)
    alive = {queue: count for (name, queue), count in found.items() if name == "trackly_workers_alive"}
    assert alive == {"settle": 1, "ingest": 2, "journeys": 0, "messages": 0, "live": 0}
    assert sorted(heartbeats.alive()) == ["a@host", "b@host"]
    now = heartbeats._now()
    monkeypatch.setattr(heartbeats, "_now", lambda: now + heartbeats.ALIVE_SECONDS + 1)
    assert _metrics(client)["trackly_workers_alive", "ingest"] == 0


def test_beat_and_the_sweep_have_ages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeats.beat_ticked()
    with hold("sweep") as is_ours:
        assert is_ours
    found = _metrics(client)
    assert found["trackly_periodic_work_age_seconds", "sweep"] < math.inf
    assert found["trackly_beat_age_seconds", ""] < math.inf
    now = heartbeats._now()
    monkeypatch.setattr(heartbeats, "_now", lambda: now + 1_000)
    assert _metrics(client)["trackly_beat_age_seconds", ""] >= 1_000


def test_without_redis_the_database_s_figures_are_there_all_the_same(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> float:
        raise redis.ConnectionError

    monkeypatch.setattr(heartbeats, "_now", gone)
    found = _metrics(client)
    assert ("trackly_periodic_work_age_seconds", "sweep") in found
    assert not [name for name, _ in found if name in {"trackly_workers_alive", "trackly_beat_age_seconds"}]
