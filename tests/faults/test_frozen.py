"""Processes that stand still (a paused machine, a debugger, SIGSTOP) and hold what others need."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest
import redis

from tests.conftest import Launch, RunningStack
from tests.support import contact, eventually, new_number


@pytest.fixture(scope="module")
def stack(launch: Launch) -> Iterator[RunningStack]:
    with launch("frozen", WORKERS="2", TRACKLY_METRICS_TOKEN="token") as running:
        yield running


def _workers(stack: RunningStack, name: str) -> list[psutil.Process]:
    """The processes of a worker, its mother first."""
    mother = psutil.Process(stack.stack.supervisor._named(name).process.pid)
    return [mother, *mother.children(recursive=True)]


@contextmanager
def _stopped(*processes: psutil.Process) -> Iterator[None]:
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            if process.is_running():
                os.kill(process.pid, signal.SIGCONT)


def _client_of(stack: RunningStack, port: int) -> psutil.Process:
    [found] = [
        process
        for process in _workers(stack, "worker")
        if any(connection.laddr.port == port for connection in process.net_connections())
    ]
    return found


def test_a_worker_frozen_in_its_transaction_gives_its_locks_back(stack: RunningStack) -> None:
    """Another account's contact of the same number takes effect, and nothing is held against its slice."""
    first, second = stack.account(), stack.account()
    number = new_number()
    with stack.connect() as lock:
        lock.execute("BEGIN")
        lock.execute(
            "LOCK TABLE contacts_listcontact IN SHARE MODE"
        )  # its slice stops behind the contact's lock
        frozen = first.bulk(contact(number), prefer="respond-async")
        [[port]] = eventually(
            lambda: stack.rows(
                "SELECT client_port FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND query LIKE '%%INSERT INTO contacts_listcontact%%' AND datname = current_database()"
            )
        )
        with _stopped(_client_of(stack, port)):
            lock.execute("ROLLBACK")
            answer = second.bulk(contact(number), prefer="respond-async")
            assert second.ended_job(answer)["success_count"] == 1
            [[attempts]] = stack.rows(
                "SELECT max(attempts) FROM bulk_bulkslice s JOIN bulk_bulkjob j ON j.id = s.job_id"
                " WHERE j.account_id = %s",
                second.account_id,
            )
            assert attempts == 0
    job = first.ended_job(frozen)
    assert (job["status"], job["success_count"]) == ("completed", 1)
    assert stack.count("SELECT count(*) FROM contacts_contact WHERE phone_number = %s", number) == 1


def test_frozen_workers_and_a_dead_beat_are_seen(stack: RunningStack) -> None:
    def ready() -> tuple[int, dict[str, bool]]:
        answer = httpx.get(f"{stack.base}/readyz", timeout=60)
        return answer.status_code, answer.json()["checks"]

    eventually(lambda: ready()[1]["beat"])
    everybody = [process for name in ("worker", "journeys", "live") for process in _workers(stack, name)]
    with _stopped(*everybody):
        # Which of the two is seen first depends on when each was last heard of.
        dead = {"database": True, "broker": True, "worker": False, "beat": False}
        eventually(ready, lambda found: found == (503, dead))
    eventually(lambda: ready() == (200, dict.fromkeys(("database", "broker", "worker", "beat"), True)))


def test_metrics_tell_a_dead_beat_from_frozen_workers(stack: RunningStack) -> None:
    def found(name: str) -> float:
        answer = httpx.get(f"{stack.base}/metrics", headers={"Authorization": "Bearer token"}, timeout=60)
        [value] = [line.split()[-1] for line in answer.text.splitlines() if line.startswith(f"{name} ")]
        return float(value)

    beat, sweep = "trackly_beat_age_seconds", 'trackly_periodic_work_age_seconds{work="sweep"}'
    queues = [
        f'trackly_workers_alive{{queue="{queue}"}}' for queue in ("settle", "ingest", "journeys", "live")
    ]
    for name in queues:
        eventually(lambda: found(name), lambda alive: alive == 1)  # noqa: B023 - called here
    with _stopped(*_workers(stack, "worker")):
        eventually(lambda: found(sweep), lambda age: age > 20)
        eventually(lambda: [found(name) for name in queues], lambda alive: alive == [0, 0, 1, 1])
        assert found(beat) < found(sweep)
    eventually(lambda: found(sweep), lambda age: age < 20)
    with _stopped(psutil.Process(stack.stack.supervisor._named("beat").process.pid)):
        eventually(lambda: found(beat), lambda age: age > 20)
        assert [found(name) for name in queues] == [1] * 4
    eventually(lambda: found(beat), lambda age: age < 20)


def test_readiness_leaves_nothing_in_redis(stack: RunningStack) -> None:
    with redis.Redis.from_url(stack.stack.environment["REDIS_URL"]) as client:
        before = client.dbsize()
        for _ in range(100):
            httpx.get(f"{stack.base}/readyz", timeout=60)
        assert client.dbsize() <= before + 5
