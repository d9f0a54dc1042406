"""The circuit breaker, with a clock of the test's."""

import asyncio

import pytest

from core.outbound.breaker import UNTOLD, Breaker, CircuitOpen

THRESHOLD, PAUSE = 3, 10.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("provider", threshold=THRESHOLD, pause=PAUSE, clock=clock)


async def answer() -> str:
    return "an answer"


def open_it(breaker: Breaker) -> None:
    for number in range(THRESHOLD):
        breaker.failed(f"+{number}")
    assert breaker.is_open


def test_it_opens_after_enough_different_subjects_and_then_asks_nobody(breaker: Breaker) -> None:
    async def run() -> None:
        for number in range(THRESHOLD - 1):
            breaker.failed(f"+{number}")
        assert await breaker.guard(answer) == "an answer"
        breaker.failed("+9")
        with pytest.raises(CircuitOpen):
            await breaker.guard(answer)

    asyncio.run(run())


def test_one_subject_that_always_fails_says_nothing_of_the_service(breaker: Breaker) -> None:
    for _ in range(100):
        breaker.failed("+1")
    assert not breaker.is_open


def test_an_answer_in_between_begins_the_count_anew(breaker: Breaker) -> None:
    for number in range(100):
        breaker.failed(f"+{number}")
        if number % 2:
            breaker.answered()
    assert not breaker.is_open


def test_after_the_pause_one_question_is_let_through_and_its_answer_closes_it(
    breaker: Breaker, clock: Clock
) -> None:
    async def run() -> None:
        open_it(breaker)
        clock.now = PAUSE - 1
        with pytest.raises(CircuitOpen):
            await breaker.guard(answer)
        clock.now = PAUSE
        gate = asyncio.Event()

        async def slow() -> str:
            await gate.wait()
            breaker.answered()
            return "late"

        probe = asyncio.create_task(breaker.guard(slow))
        await asyncio.sleep(0)
        with pytest.raises(CircuitOpen):  # one is enough
            await breaker.guard(answer)
        gate.set()
        assert await probe == "late"
        assert not breaker.is_open
        assert await breaker.guard(answer) == "an answer"

    asyncio.run(run())


def test_a_question_that_fails_after_the_pause_opens_it_for_another(breaker: Breaker, clock: Clock) -> None:
    async def run() -> None:
        open_it(breaker)
        clock.now = PAUSE

        async def failing() -> None:
            breaker.failed("+5")
            raise RuntimeError

        with pytest.raises(RuntimeError):
            await breaker.guard(failing)
        clock.now = PAUSE + 1
        with pytest.raises(CircuitOpen):
            await breaker.guard(answer)
        clock.now = 2 * PAUSE
        assert await breaker.guard(answer) == "an answer"

    asyncio.run(run())


def test_a_minority_that_fails_quickly_opens_nothing(breaker: Breaker) -> None:
    async def run() -> None:
        waiting = [asyncio.create_task(breaker.guard(asyncio.Event().wait)) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for number in range(9):
            breaker.failed(f"+{number}")
        states = [breaker.is_open]
        breaker.failed("+9")
        assert [*states, breaker.is_open] == [False, True]
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(run())


def test_what_is_under_way_when_it_opens_ends_at_once(breaker: Breaker) -> None:
    async def run() -> None:
        waiting = [asyncio.create_task(breaker.guard(asyncio.Event().wait)) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        open_it(breaker)
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ended] == [CircuitOpen] * 5

    asyncio.run(run())


def test_a_caller_that_gives_up_is_not_told_of_the_circuit(breaker: Breaker) -> None:
    async def run() -> None:
        waiting = asyncio.create_task(breaker.guard(asyncio.Event().wait))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not breaker._tasks

    asyncio.run(run())


def tell_nothing(breaker: Breaker, count: int) -> None:
    for number in range(count):
        breaker.answered(f"+{number}", told=False, why=RuntimeError("error 60600"))


def test_a_long_run_of_answers_that_tell_nothing_opens_it_and_says_why(breaker: Breaker) -> None:
    async def run() -> None:
        tell_nothing(breaker, UNTOLD * THRESHOLD - 1)
        assert await breaker.guard(answer) == "an answer"
        tell_nothing(breaker, UNTOLD * THRESHOLD)
        with pytest.raises(
            CircuitOpen, match="could tell nothing about 15 numbers in a row, lastly: error 60600"
        ):
            await breaker.guard(answer)

    asyncio.run(run())


def test_numbers_that_nothing_can_be_told_about_are_no_trouble_among_others(breaker: Breaker) -> None:
    for _ in range(20):
        tell_nothing(breaker, UNTOLD * THRESHOLD - 1)
        breaker.answered("+5")
    for _ in range(100):
        breaker.answered("+1", told=False)  # one number, again and again
    assert not breaker.is_open


def test_a_service_that_tells_nothing_lives_so_failures_are_no_run(breaker: Breaker) -> None:
    for number in range(UNTOLD * THRESHOLD - 1):
        breaker.failed(f"+{number}")
        breaker.answered(f"+{number}", told=False)
    assert not breaker.is_open


def test_after_the_pause_only_an_answer_that_tells_something_closes_it_again(
    breaker: Breaker, clock: Clock
) -> None:
    async def probe(*, told: bool) -> str:
        async def ask() -> str:
            breaker.answered("+99", told=told)
            return "an answer"

        clock.now += PAUSE
        return await breaker.guard(ask)

    async def run() -> None:
        tell_nothing(breaker, UNTOLD * THRESHOLD)
        assert await probe(told=False) == "an answer"
        assert breaker.is_open
        assert await probe(told=True) == "an answer"
        assert not breaker.is_open

    asyncio.run(run())


def test_the_circuit_says_what_opened_it(breaker: Breaker) -> None:
    async def run() -> None:
        for number in range(THRESHOLD):
            breaker.failed(f"+{number}", RuntimeError("answered 404: check the address"))
        with pytest.raises(CircuitOpen, match="left alone for a while: answered 404: check the address"):
            await breaker.guard(answer)

    asyncio.run(run())
