"""Each question is asked once, and its answer kept."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from core.outbound import Caller, Failure, OutboundError
from core.outbound.breaker import CircuitOpen
from lookups import single_flight
from lookups.models import Kind, Lookup
from lookups.single_flight import Question
from tests.support import new_number, new_numbers


class Provider:
    """Answers with the number itself; counts how often it was asked about each."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.silent: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    async def ask(self, _: Caller, number: str) -> str:
        self.asked[number] += 1
        while not self.gate.is_set():
            await _pause()
        if number in self.silent:
            raise OutboundError("no answer", Failure.RETRYABLE)
        return number


async def _pause() -> None:
    import asyncio  # noqa: PLC0415 - for the loop of another thread

    await asyncio.sleep(0.005)


def question(provider: Provider, **options: Any) -> Question[str]:
    given = {"kind": Kind.CARRIER, "ttl": timedelta(days=90), "pause": timedelta(minutes=5), **options}
    return Question(ask=provider.ask, answer=str, **given)


@pytest.mark.django_db
def test_an_answer_is_kept_and_nobody_asks_again() -> None:
    provider, numbers = Provider(), new_numbers(3)
    assert question(provider).known(numbers).answers == {}
    for _ in range(2):
        assert question(provider).answers(numbers) == {number: number for number in numbers}
    assert question(provider).known(numbers).answers.keys() == set(numbers)
    assert provider.asked == Counter(numbers)


@pytest.mark.django_db
def test_an_answer_that_has_grown_old_is_asked_for_again() -> None:
    provider, number = Provider(), new_number()
    question(provider).answers([number])
    Lookup.objects.update(answered_at=timezone.now() - timedelta(days=91))
    assert question(provider).known([number]).answers == {}
    assert question(provider).answers([number]) == {number: number}
    assert provider.asked[number] == 2


@pytest.mark.django_db
def test_a_scope_is_a_question_of_its_own() -> None:
    provider, number = Provider(), new_number()
    for scope in (1, 2, 1):
        question(provider, kind=Kind.VALIDATION, scope=scope).answers([number])
    assert provider.asked[number] == 2


@pytest.mark.django_db
def test_what_nobody_answers_is_left_alone_for_longer_each_time() -> None:
    provider, number = Provider(), new_number()
    provider.silent = {number}
    pauses = []
    for _ in range(12):
        asked_at = timezone.now()
        assert question(provider).answers([number]) == {}
        assert question(provider).known([number]).failed == {number}
        assert question(provider).answers([number]) == {}  # asks nobody
        row = Lookup.objects.get()
        assert row.retry_at is not None
        pauses.append((row.retry_at - asked_at).total_seconds())
        Lookup.objects.update(retry_at=timezone.now() - timedelta(days=1))
    assert provider.asked[number] == 12
    assert [round(pause / 300) for pause in pauses[:4]] == [1, 2, 4, 8]
    assert round(pauses[-1] / 86400) == 1
    provider.silent = set()
    assert question(provider).answers([number]) == {number: number}
    assert Lookup.objects.get().failures == 0


@pytest.mark.django_db(transaction=True)
def test_ten_at_once_ask_once_and_all_have_the_answer() -> None:
    provider, numbers = Provider(), new_numbers(20)
    provider.gate.clear()
    started = threading.Barrier(11)

    def worker() -> dict[str, str]:
        started.wait()
        try:
            return question(provider).answers(numbers)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        running = [pool.submit(worker) for _ in range(10)]
        started.wait()
        provider.gate.set()
        assert [done.result() for done in running] == [{number: number for number in numbers}] * 10
    assert provider.asked == Counter(numbers)


@pytest.mark.django_db(transaction=True)
def test_those_who_wait_for_somebody_elses_question_share_its_failure() -> None:
    provider, number = Provider(), new_number()
    provider.silent, started = {number}, threading.Barrier(5)

    def worker() -> dict[str, str]:
        started.wait()
        try:
            return question(provider).answers([number])
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        assert [done.result() for done in [pool.submit(worker) for _ in range(5)]] == [{}] * 5
    assert provider.asked[number] == 1


@pytest.mark.django_db
def test_the_claim_of_a_worker_that_died_is_anybodys_after_its_lease() -> None:
    provider, number = Provider(), new_number()
    died = timezone.now() - timedelta(seconds=1)
    Lookup.objects.create(kind=Kind.CARRIER, phone_number=number, claimed_until=died)
    assert question(provider).answers([number]) == {number: number}
    assert Lookup.objects.get().claimed_until is None


@pytest.mark.django_db
def test_claims_are_renewed_while_the_network_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_flight, "_RENEW_SECONDS", 0.0)
    provider, number, kept = Provider(), new_number(), []
    provider.gate.clear()
    renewed = []

    def renew(self: Question[str], numbers: Any) -> None:
        renewed.append(set(numbers))
        provider.gate.set()

    monkeypatch.setattr(Question, "renew", renew)
    assert question(provider).answers([number], keep=lambda: kept.append(1)) == {number: number}
    assert renewed
    assert all(numbers == {number} for numbers in renewed)
    assert len(kept) >= len(renewed)


@pytest.mark.django_db
def test_an_answer_is_durable_while_the_others_are_still_waited_for() -> None:
    provider, quick, slow = Provider(), new_number(), new_number()
    seen = []

    async def ask(_: Caller, number: str) -> str:
        if number == slow:
            provider.gate.clear()
            while not provider.gate.is_set():
                await _pause()
        return number

    asked = Question(
        kind=Kind.CARRIER, ask=ask, answer=str, ttl=timedelta(days=1), pause=timedelta(seconds=1)
    )
    store = Question.store

    def storing(self: Question[str], answers: Any, failed: Any) -> None:
        store(self, answers, failed)
        seen.append(sorted(answers))
        provider.gate.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Question, "store", storing)
        asked.answers([quick, slow])
    assert seen == [[quick], [slow]]


@pytest.mark.django_db
def test_what_nobody_foresaw_about_one_number_changes_nothing_for_the_others() -> None:
    numbers = new_numbers(3)

    async def ask(_: Caller, number: str) -> str:
        if number == numbers[1]:
            raise ZeroDivisionError
        return number

    asked = Question(
        kind=Kind.CARRIER, ask=ask, answer=str, ttl=timedelta(days=1), pause=timedelta(seconds=1)
    )
    assert asked.answers(numbers).keys() == {numbers[0], numbers[2]}
    assert asked.known(numbers).failed == {numbers[1]}
    assert not Lookup.objects.filter(claimed_until__isnull=False).exists()


@pytest.mark.django_db
def test_an_answer_that_could_not_be_stored_is_asked_for_again_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider, numbers = Provider(), new_numbers(3)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Question, "store", broken)
        with pytest.raises(ZeroDivisionError):
            question(provider).answers(numbers)
    assert question(provider).known(numbers).failed == set()
    assert question(provider).answers(numbers).keys() == set(numbers)


@pytest.mark.django_db
def test_a_number_that_nobody_was_asked_about_has_not_failed() -> None:
    number = new_number()

    async def ask(_: Caller, __: str) -> str:
        raise CircuitOpen("provider")

    asked = Question(
        kind=Kind.CARRIER, ask=ask, answer=str, ttl=timedelta(days=1), pause=timedelta(minutes=5)
    )
    assert asked.answers([number]) == {}
    row = Lookup.objects.get()
    assert (row.failures, row.claimed_until, asked.known([number]).failed) == (0, None, {number})


@pytest.mark.django_db
def test_the_pause_of_a_question_has_a_cap() -> None:
    provider, number = Provider(), new_number()
    provider.silent = {number}
    asked = question(provider, pause=timedelta(seconds=5), longest=timedelta(seconds=5))
    for _ in range(5):
        asked.answers([number])
        Lookup.objects.update(retry_at=timezone.now() - timedelta(days=1))
    asked.answers([number])
    due = Lookup.objects.get().retry_at
    assert due is not None
    assert due <= timezone.now() + timedelta(seconds=5)


@pytest.mark.django_db
def test_what_is_asked_just_now_or_due_again_is_not_forgotten() -> None:
    old = timezone.now() - timedelta(days=100)
    for changes in (
        {},
        {"claimed_until": timezone.now() + timedelta(minutes=1)},
        {"retry_at": timezone.now() + timedelta(minutes=1)},
    ):
        Lookup.objects.create(
            kind=Kind.CARRIER, phone_number=new_number(), answer="x", answered_at=old, **changes
        )
    single_flight.forget(Kind.CARRIER, timedelta(days=90))
    assert Lookup.objects.count() == 2
