"""`manage.py migrate`, while requests are answered and slices processed."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from core import sql

LOCK_SECONDS = 2
"""How long a statement waits for its lock. Meanwhile all that comes after it to the same table waits too."""
PAUSE_SECONDS = 3
"""Between two tries: what had to wait goes on."""
TRIES = 40

_BUILD = re.compile(
    r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?P<exists>IF NOT EXISTS )?(?P<name>\"[^\"]+\"|\w+)"
)
_IS_INVALID = "SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid"

Execute = Callable[[str, Any, bool, dict[str, Any]], Any]


class Command(migrate.Command):
    """Django's, but no lock is waited for while others wait behind it, and a second run goes on.

    A statement that does not get its lock within LOCK_SECONDS gives up, and the migration starts again a
    little later, TRIES times. Indexes that are built concurrently hold up nothing and wait as long as it
    takes; one that was left unfinished (the command was killed) is built anew.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises OperationalError where a lock could not be had after all tries, and what Django's raises."""
        for tries_left in reversed(range(TRIES)):
            if self._migrated(*args, last=not tries_left, **options):
                return
            self.stderr.write(f"A lock was not to be had within {LOCK_SECONDS} s; trying again.")
            time.sleep(PAUSE_SECONDS)

    def _migrated(self, *args: Any, last: bool, **options: Any) -> bool:
        try:
            with _impatient(connections[options["database"]]):
                super().handle(*args, **options)
        except OperationalError as exc:
            if last or not sql.is_lock_timeout(exc):
                raise
            return False
        return True


@contextmanager
def _impatient(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Within it statements on this connection wait for locks as the command says."""

    def execute(run: Execute, statement: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
        if not isinstance(statement, str) or " INDEX CONCURRENTLY " not in statement:
            return run(statement, parameters, many, context)
        statement = _resumed(connection, statement)
        run("SET lock_timeout = 0", None, False, context)
        try:
            return run(statement, parameters, many, context)
        finally:
            run(_LIMIT, None, False, context)

    with connection.cursor() as cursor:
        cursor.execute(_LIMIT)
    try:
        with connection.execute_wrapper(execute):
            yield
    finally:
        if connection.connection is not None:
            connection.close()  # and with it what was set


_LIMIT = f"SET lock_timeout = '{LOCK_SECONDS}s'"


def _resumed(connection: BaseDatabaseWrapper, statement: str) -> str:
    """The statement, so that it may have run before: an index that was not finished is dropped first."""
    if not (found := _BUILD.match(statement)):
        return statement
    with connection.cursor() as cursor:
        cursor.execute(_IS_INVALID, [found["name"]])
        if cursor.fetchone() is not None:
            cursor.execute(f"DROP INDEX CONCURRENTLY {found['name']}")
    return (
        statement
        if found["exists"]
        else statement.replace(" CONCURRENTLY ", " CONCURRENTLY IF NOT EXISTS ", 1)
    )
