"""Turns towards a provider: shared by all who ask Redis, kept alone where it is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from core.outbound.limit import Limit
from core.redis_client import client
from devstack.stack import Stack


@pytest.fixture
def name(servers: Stack) -> str:
    client.cache_clear()
    client().delete("trackly:outbound:somebody:turn", "trackly:outbound:somebody:pause")
    return "somebody"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that somebody would have slept."""
    seconds: list[float] = []

    async def sleep(wanted: float) -> None:
        seconds.append(wanted)

    monkeypatch.setattr("core.outbound.limit.asyncio.sleep", sleep)
    return seconds


def run(rate: float, name: str, *steps: Callable[..., Awaitable[Any]]) -> list[Any]:
    """What the steps return; each is given the two limits that two workers have."""

    async def together() -> list[Any]:
        two = [Limit(name, rate=rate) for _ in range(2)]
        try:
            return [await step(*two) for step in steps]
        finally:
            for limit in two:
                await limit.close()

    return asyncio.run(together())


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns are given however far off: so far apart that the time which asking takes is nothing."""
    monkeypatch.setattr("core.outbound.limit._NEAR_SECONDS", 1_000.0)


@pytest.mark.usefixtures("patient")
def test_two_workers_get_turns_one_after_the_other(name: str) -> None:
    answers = run(0.01, name, lambda a, _: a._ask(), lambda _, b: b._ask(), lambda a, _: a._ask())
    assert [granted for granted, _ in answers] == [True] * 3
    assert [round(seconds / 100) for _, seconds in answers] == [0, 1, 2]


def test_a_turn_that_is_far_off_is_not_given_so_nobody_can_take_it_with_him(name: str) -> None:
    answers = run(0.1, name, *[lambda a, _: a._ask()] * 3, lambda _, b: b._ask())
    assert [granted for granted, _ in answers] == [True, False, False, False]
    assert [round(seconds / 10) for _, seconds in answers] == [0, 1, 1, 1]


@pytest.mark.parametrize("rate", [0, 10])
def test_a_pause_holds_for_everybody(name: str, rate: float) -> None:
    before, _, *after = run(
        rate,
        name,
        lambda a, _: a._ask(),
        lambda a, _: a.pause(60),
        lambda a, _: a._ask(),
        lambda _, b: b._ask(),
    )
    assert before[0]
    assert [granted for granted, _ in after] == [False, False]
    assert [round(seconds / 60) for _, seconds in after] == [1, 1]


def test_a_shorter_pause_does_not_end_a_longer_one(name: str) -> None:
    *_, (granted, seconds) = run(
        0, name, lambda a, _: a.pause(60), lambda _, b: b.pause(1), lambda _, b: b._ask()
    )
    assert (granted, round(seconds / 60)) == (False, 1)


@pytest.mark.usefixtures("patient")
def test_who_has_a_turn_waits_for_it(name: str, slept: list[float]) -> None:
    run(0.01, name, *[lambda a, _: a.turn()] * 3)
    assert [round(seconds / 100) for seconds in slept] == [0, 1, 2]


def test_nobody_is_asked_before_a_pause_is_over(
    name: str, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def paused(limit: Limit, _: Limit) -> None:
        await limit.pause(60)
        limit._looked_at = time.monotonic()

        async def sleep(wanted: float) -> None:
            slept.append(wanted)
            limit._paused_until = 0.0  # it is over

        monkeypatch.setattr("core.outbound.limit.asyncio.sleep", sleep)
        await limit.turn()

    run(0, name, paused)
    assert [round(seconds / 60) for seconds in slept] == [1]


def test_without_redis_each_process_keeps_to_the_rate(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    first, second = run(0.1, "nobody", lambda a, _: a._ask(), lambda a, _: a._ask())
    assert (first[0], second[0]) == (True, False)
    assert round(second[1] / 10) == 1


def test_a_redis_that_is_away_is_asked_once_in_a_while_however_many_want_turns(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    asked = []

    async def many(limit: Limit, _: Limit) -> None:
        script = limit._turn

        async def counting(**given: Any) -> Any:
            asked.append(1)
            return await script(**given)

        monkeypatch.setattr(limit, "_turn", counting)
        await asyncio.gather(*(limit._ask() for _ in range(50)))

    run(1_000, "nobody", many)
    assert len(asked) == 1
