"""Statements of the hot path, on Django's connection and in its transaction, but bound by the server.

Django's own cursors bind in the client: they render each parameter into the statement, in Python, which for a
thousand contacts in one parameter is a third of a worker's time (docs/decisions, "SQL on the hot path").
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import structlog
from django.db import OperationalError, connection, transaction
from psycopg import Cursor
from psycopg.rows import RowFactory, dict_row, tuple_row

T = TypeVar("T")
logger = structlog.get_logger(__name__)

_TRIES = 5
_RUN_AGAIN = {"40001", "40P01"}
"""SQLSTATE: serialization_failure, deadlock_detected."""
_LOCK_NOT_AVAILABLE = "55P03"


def rows(statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run `statement`; the rows that it returns, by column name.

    Raises django.db's errors, as a cursor of Django's would. Outside of `transaction.atomic` it is committed
    at once, as there.
    """
    return _run(statement, parameters, dict_row)


def tuples(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The same, its rows as tuples: for thousands of them, in a third of the time."""
    return _run(statement, parameters, tuple_row)


def now() -> datetime:
    """The time by the database's clock, which is one for all machines."""
    [row] = tuples("SELECT clock_timestamp()", {})
    moment: datetime = row[0]
    return moment


def _run(statement: str, parameters: Mapping[str, Any], row_factory: RowFactory[T]) -> list[T]:
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection, row_factory=row_factory) as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def array(values: Iterable[int | str]) -> str:
    """PostgreSQL's literal of an array, to be cast; for numbers and for texts that need no quotes (E.164).

    psycopg dumps a list element by element: for a thousand of them that takes longer than to look them up.
    """
    return f"{{{','.join(map(str, values))}}}"


def prefer_indexes() -> None:
    """Until the transaction ends, have every statement find its rows by an index. Call it in a transaction.

    For statements that name their rows by key, on tables that grow. Left alone, the planner reads a small
    table from end to end, and where tables grow quickly that goes wrong twice. Of one that was never analysed
    it expects so few rows that it still does so at 200,000. And a foreign key's check is planned once for a
    connection: while the other table was one page, say, and then all of that table is read for each row that
    is inserted, until statistics are gathered again.

    By SET LOCAL, which works behind a pool that changes the server's session between transactions.
    """
    rows("SET LOCAL enable_seqscan = off", {})


@contextmanager
def async_commit() -> Iterator[None]:
    """A transaction that a crash of the server may forget: its commit waits for no disk.

    For claims, which are simply made again. Inside another transaction nothing is forgotten but with that.
    """
    is_all = not connection.in_atomic_block
    with transaction.atomic():
        if is_all:
            rows("SET LOCAL synchronous_commit = off", {})
        yield


def is_lock_timeout(exc: Exception) -> bool:
    """Whether the database gave up waiting for a lock (`lock_timeout`): what holds it may be gone soon."""
    return getattr(exc.__cause__, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def retry_on_conflict(effect: Callable[[], T]) -> T:
    """Run `effect` in a transaction, and again if the database made it the victim of a deadlock.

    `effect` must not keep anything of a run that was rolled back. Raises whatever it raises.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            with transaction.atomic():
                return effect()
        except OperationalError as exc:
            if getattr(exc.__cause__, "sqlstate", None) not in _RUN_AGAIN or not tries_left:
                raise
            logger.warning("transaction_runs_again", cause=type(exc.__cause__).__name__)
    raise AssertionError("unreachable: the last try returns or raises")
