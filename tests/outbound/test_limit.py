"""Turns towards a provider: shared by all who ask Redis, kept alone where it is away."""

import asyncio
import time
from typing import Any

import pytest

from trackly.embedded.stack import Stack
from trackly.outbound.limit import Limit
from trackly.redis import client


@pytest.fixture
def name(servers: Stack) -> str:
    client.cache_clear()
    client().delete("trackly:outbound:somebody")
    return "somebody"


async def _moves(limits: list[Limit], *steps: tuple[int, float, float]) -> list[float]:
    """Seconds until the turn that each step (which limit, interval, pause) takes; without waiting."""
    try:
        return [await limits[which]._move(interval, pause) for which, interval, pause in steps]
    finally:
        for limit in limits:
            await limit.close()


def test_two_workers_get_turns_one_after_the_other(name: str) -> None:
    async def run() -> list[float]:
        limits = [Limit(name, rate=0.1), Limit(name, rate=0.1)]
        return await _moves(limits, (0, 10, 0), (1, 10, 0), (0, 10, 0), (1, 10, 0))

    turns = asyncio.run(run())
    assert [round(turn / 10) for turn in turns] == [0, 1, 2, 3]


def test_a_pause_holds_for_everybody(name: str) -> None:
    async def run() -> list[float]:
        limits = [Limit(name, rate=0), Limit(name, rate=0)]
        return await _moves(limits, (0, 0, 0), (0, 0, 60), (1, 0, 0), (1, 0, 0))

    before, _, after, again = asyncio.run(run())
    assert before == 0
    assert 59 < after <= 60
    assert 59 < again <= 60


def test_who_has_taken_a_turn_waits_for_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def run() -> None:
        limit = Limit(name, rate=0.1)
        for _ in range(3):
            await limit.turn()
        await limit.close()

    monkeypatch.setattr("trackly.outbound.limit.asyncio.sleep", sleep)
    asyncio.run(run())
    assert [round(seconds / 10) for seconds in slept] == [0, 1, 2]


def test_nobody_is_asked_before_a_pause_is_over(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        limit._paused_until = 0.0  # it is over

    async def run() -> None:
        await limit.pause(60)
        await limit.turn()
        await limit.close()

    limit = Limit(name, rate=0)
    limit._looked_at = time.monotonic()
    monkeypatch.setattr("trackly.outbound.limit.asyncio.sleep", sleep)
    asyncio.run(run())
    assert [round(seconds) for seconds in slept] == [60]


def test_without_redis_each_process_keeps_to_the_rate(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    async def run() -> list[float]:
        return await _moves([Limit("nobody", rate=0.1)], (0, 10, 0), (0, 10, 0), (0, 0, 60), (0, 0, 0))

    first, second, _, paused = asyncio.run(run())
    assert first < 1
    assert 9 < second <= 10
    assert 59 < paused <= 60
