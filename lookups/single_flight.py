"""Single flight: each question is asked once, however many ask it at a time; its answer is stored.

Works on any number of machines: the claim is a row in PostgreSQL. No transaction is open while the network is
asked; a claim's lease is renewed meanwhile, and the claim is free again soon after it expires.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from core import sql
from core.outbound import Caller, OutboundError, caller, in_ticks
from core.outbound.breaker import CircuitOpen
from lookups.models import ERROR_LENGTH, EVERYBODY, Kind, Lookup

T = TypeVar("T")
logger = structlog.get_logger(__name__)

LEASE_SECONDS = 15.0
"""A claim that was not renewed for so long has expired: any worker may take it."""
_RENEW_SECONDS = 5.0
_LONGEST_LOOK = 0.5
"""Seconds between two polls for what another lease holder is asking about, at most."""

_CLAIM = """
INSERT INTO lookups_lookup AS lookup (kind, scope, phone_number, claimed_until, failures)
SELECT %(kind)s, %(scope)s, phone_number, now() + make_interval(secs => %(lease)s), 0
FROM unnest(%(numbers)s::text[]) AS input (phone_number)
ORDER BY phone_number  -- every transaction takes locks in this order: no deadlock
ON CONFLICT ON CONSTRAINT lookup_once DO UPDATE SET claimed_until = EXCLUDED.claimed_until
WHERE (lookup.claimed_until IS NULL OR lookup.claimed_until < now())
    AND (lookup.answered_at IS NULL OR lookup.answered_at < now() - %(ttl)s)
    AND (lookup.retry_at IS NULL OR lookup.retry_at < now())
RETURNING phone_number
"""
_RENEW = """
UPDATE lookups_lookup SET claimed_until = now() + make_interval(secs => %(lease)s)
WHERE kind = %(kind)s AND scope = %(scope)s AND phone_number = ANY(%(numbers)s) AND claimed_until IS NOT NULL
"""
_KNOWN = """
SELECT phone_number, answer::text, answered_at >= now() - %(ttl)s AS is_answered
FROM lookups_lookup
WHERE kind = %(kind)s AND scope = %(scope)s AND phone_number = ANY(%(numbers)s)
    AND (answered_at >= now() - %(ttl)s OR retry_at >= now())
"""
_FORGET = """
DELETE FROM lookups_lookup WHERE id IN (
    SELECT id FROM lookups_lookup
    WHERE kind = %(kind)s AND answered_at < now() - %(ttl)s AND retry_at IS NULL
        AND (claimed_until IS NULL OR claimed_until < now())
    ORDER BY answered_at LIMIT %(at_once)s
)
"""
_AT_ONCE = 10_000
_ANSWERED = """
UPDATE lookups_lookup AS lookup
SET answer = input.answer, answered_at = now(), failures = 0, retry_at = NULL, claimed_until = NULL,
    error = ''
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (phone_number text, answer jsonb)
WHERE kind = %(kind)s AND scope = %(scope)s AND lookup.phone_number = input.phone_number
"""
_FAILED = """
UPDATE lookups_lookup AS lookup
SET failures = failures + 1, claimed_until = NULL, error = input.error,
    retry_at = now() + LEAST(%(longest)s, %(pause)s * 2 ^ LEAST(failures, 30))
FROM unnest(%(numbers)s::text[], %(errors)s::text[]) AS input (phone_number, error)
WHERE kind = %(kind)s AND scope = %(scope)s AND lookup.phone_number = input.phone_number
    AND (answered_at IS NULL OR answered_at < now() - %(ttl)s)  -- another worker may have been quicker
"""
# The provider was not asked: the next lease holder may ask, after `pause` if that is set.
_RELEASED = """
UPDATE lookups_lookup
SET claimed_until = NULL, retry_at = COALESCE(now() + %(pause)s, retry_at),
    error = COALESCE(%(error)s, error)
WHERE kind = %(kind)s AND scope = %(scope)s AND phone_number = ANY(%(numbers)s)
"""


def forget(kind: Kind, ttl: timedelta) -> None:
    """Delete answers of a kind that are older than `ttl`: ten thousand at most."""
    parameters = {"kind": kind, "ttl": ttl, "at_once": _AT_ONCE}
    sql.retry_on_conflict(lambda: sql.rows(_FORGET, parameters))


def forget_unanswered(kind: Kind, ttl: timedelta) -> None:
    """Delete questions of a kind that were neither answered nor asked again for so long."""
    rows = Lookup.objects.filter(kind=kind, answered_at=None, retry_at__lt=sql.now() - ttl)
    rows.filter(claimed_until=None).delete()


@dataclass
class Known(Generic[T]):
    """What is on record of some numbers."""

    answers: dict[str, T] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    """Numbers that got no answer a little while ago; they are not asked about again yet."""


@dataclass(frozen=True, kw_only=True)
class Question(Generic[T]):
    """A question about each of some numbers: how it is asked, and for how long its answer is good."""

    kind: Kind
    scope: int = EVERYBODY
    ask: Callable[[Caller, str], Awaitable[T]]
    """Raises OutboundError where no provider answers."""
    answer: type[T]
    """A type that msgspec writes as JSON and reads back."""
    ttl: timedelta
    pause: timedelta
    """After an unanswered question; doubled with each further one."""
    longest: timedelta = timedelta(days=1)
    """What `pause` is doubled to at most."""

    def known(self, numbers: Iterable[str]) -> Known[T]:
        """What needs no asking. One query, none for no numbers."""
        found: Known[T] = Known()
        wanted = list(numbers)
        if wanted:
            for row in sql.rows(_KNOWN, self._about(wanted, ttl=self.ttl)):
                if row["is_answered"]:
                    answer = msgspec.json.decode(row["answer"], type=self.answer)
                    found.answers[row["phone_number"]] = answer
                else:
                    found.failed.add(row["phone_number"])
        return found

    def answers(self, numbers: Iterable[str], *, keep: Callable[[], None] = lambda: None) -> dict[str, T]:
        """The answers, asked for or found; an unanswered number is missing.

        What another lease holder is asking about is waited for. `keep` is called every few seconds, so that
        the caller can renew leases of its own. Call it outside of transactions.
        """
        held = LeaseHolder(self, keep)
        wanted, got, look = set(numbers), dict[str, T](), 0.02
        while wanted:
            claimed = self._claim(wanted)
            if claimed:
                got.update(held.ask(claimed))
                wanted -= claimed
                continue
            known = self.known(wanted)
            got.update(known.answers)
            wanted -= known.answers.keys() | known.failed
            if wanted:
                time.sleep(look)
                look = min(2 * look, _LONGEST_LOOK)
                held.renew(set())
        return got

    def _claim(self, numbers: Iterable[str]) -> set[str]:
        about = self._about(numbers, lease=LEASE_SECONDS, ttl=self.ttl)
        return {row["phone_number"] for row in sql.retry_on_conflict(lambda: sql.rows(_CLAIM, about))}

    def _about(self, numbers: Iterable[str], **more: Any) -> dict[str, Any]:
        return {"kind": self.kind, "scope": self.scope, "numbers": list(numbers), **more}

    def renew(self, numbers: Iterable[str]) -> None:
        sql.retry_on_conflict(lambda: sql.rows(_RENEW, self._about(numbers, lease=LEASE_SECONDS)))

    def store(self, answers: Mapping[str, T], failed: Mapping[str, str]) -> None:
        """Keep what was found out of numbers that we hold the claim of; of those that failed, why."""
        rows = [{"phone_number": number, "answer": answer} for number, answer in answers.items()]
        failures = self._about(failed, pause=self.pause, longest=self.longest, ttl=self.ttl)
        failures["errors"] = [why[:ERROR_LENGTH] for why in failed.values()]

        def write() -> None:
            if rows:
                answered = {
                    "kind": self.kind,
                    "scope": self.scope,
                    "rows": msgspec.json.encode(rows).decode(),
                }
                sql.rows(_ANSWERED, answered)
            if failures["numbers"]:
                sql.rows(_FAILED, failures)

        sql.retry_on_conflict(write)

    def release(
        self, numbers: Iterable[str], *, pause: timedelta | None = None, error: str | None = None
    ) -> None:
        """Give claims back without an outcome; `error`: why nothing was asked, if that is to be kept."""
        about = self._about(numbers, pause=pause, error=error and error[:ERROR_LENGTH])
        sql.retry_on_conflict(lambda: sql.rows(_RELEASED, about))


class LeaseHolder(Generic[T]):
    """The claims that we hold while we ask."""

    def __init__(self, question: Question[T], keep: Callable[[], None]) -> None:
        self._question, self._keep = question, keep
        self._renewed_at = time.monotonic()

    def renew(self, numbers: set[str]) -> None:
        """Hold on to the claims of `numbers`, if it is time."""
        if time.monotonic() - self._renewed_at < _RENEW_SECONDS:
            return
        self._renewed_at = time.monotonic()
        if numbers:
            self._question.renew(numbers)
        self._keep()

    def ask(self, claimed: set[str]) -> dict[str, T]:
        """Ask about all at once; what is answered is stored as it comes. Whatever happens, no claim stays."""
        way = caller()
        asked = {number: way.submit(_ask(self._question, way, number)) for number in sorted(claimed)}
        got: dict[str, T] = {}
        try:
            for done, left in in_ticks(asked):
                if done:
                    answers, failed, unasked = _sort(done)
                    self._question.store(answers, failed)
                    if unasked:
                        why = min(unasked.values())
                        self._question.release(unasked, pause=self._question.pause, error=why)
                    got.update(answers)
                asked = left
                self.renew(set(asked))
        finally:
            if asked:
                for future in asked.values():
                    future.cancel()
                self._question.release(asked)
        return got


async def _ask(question: Question[T], way: Caller, number: str) -> T:
    return await question.ask(way, number)


def _sort(done: Mapping[str, Future[T]]) -> tuple[dict[str, T], dict[str, str], dict[str, str]]:
    """Answers by number; the numbers that got none, and why; those that were not asked about, and why.

    An unexpected exception counts as no answer, for its number alone.
    """
    answers: dict[str, T] = {}
    failed, unasked = dict[str, str](), dict[str, str]()
    for number, future in done.items():
        try:
            answers[number] = future.result()
        except CircuitOpen as exc:
            unasked[number] = str(exc)
        except OutboundError as exc:
            failed[number] = str(exc)
        except Exception as exc:
            failed[number] = f"{type(exc).__name__}: see the log"
            logger.exception("look_up_broke")
    if reasons := {*failed.values(), *unasked.values()}:
        logger.warning("look_ups_unanswered", count=len(failed) + len(unasked), reasons=sorted(reasons))
    return answers, failed, unasked
