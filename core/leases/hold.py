"""Holding a lease: `with hold("sweep") as is_ours:`."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import DatabaseError, connection

from core import sql

logger = structlog.get_logger(__name__)

LEASE_SECONDS = 15.0
"""After so long without a sign of its holder the work is free again."""
_RENEW_SECONDS = LEASE_SECONDS / 3

_TAKE = """
INSERT INTO leases_lease AS lease (name, holder, held_until, began_at)
VALUES (%(name)s, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s), clock_timestamp())
ON CONFLICT (name) DO UPDATE
SET holder = EXCLUDED.holder, held_until = EXCLUDED.held_until, began_at = EXCLUDED.began_at
WHERE lease.held_until <= clock_timestamp()
    AND lease.began_at <= clock_timestamp() - make_interval(secs => %(every)s)
RETURNING name
"""
_RENEW = """
UPDATE leases_lease SET held_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND holder = %(holder)s
"""
_END = """
UPDATE leases_lease SET held_until = clock_timestamp(), ended_at = clock_timestamp()
WHERE name = %(name)s AND holder = %(holder)s
"""
_AGE = "SELECT extract(epoch FROM now() - ended_at)::float AS age FROM leases_lease WHERE name = %(name)s"
_AGES = """
SELECT name, extract(epoch FROM now() - ended_at)::float AS age FROM leases_lease WHERE ended_at IS NOT NULL
"""


@contextmanager
def hold(name: str, *, every: float = 0.0) -> Iterator[bool]:
    """Whether this process has the work called `name` to itself until the block ends.

    It has not where another process holds it, or where the last run began less than `every` seconds ago: so
    messages that piled up do nothing. A holder that freezes or loses its machine loses the lease after
    LEASE_SECONDS; what the work does must therefore be safe to do twice. Not for use inside a transaction.
    """
    about: dict[str, object] = {"name": name, "holder": str(uuid.uuid4()), "seconds": LEASE_SECONDS}
    if not sql.rows(_TAKE, {**about, "every": every}):
        yield False
        return
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(about, ended), daemon=True, name=f"lease of {name}")
    renewal.start()
    try:
        yield True
    finally:
        ended.set()
        renewal.join()
        sql.rows(_END, about)


def _renew(about: dict[str, object], ended: threading.Event) -> None:
    while not ended.wait(_RENEW_SECONDS):
        try:
            sql.rows(_RENEW, about)
        except DatabaseError as exc:
            logger.warning("lease_not_renewed", lease=about["name"], exc_info=exc)
        finally:
            connection.close()  # this thread's own


def ages() -> dict[str, float]:
    """Seconds since a run of each kind of work last came to its end, by the database's clock."""
    return {row["name"]: row["age"] for row in sql.rows(_AGES, {})}


def age(name: str) -> float | None:
    """Seconds since a run of the work last came to its end; None if there was none."""
    [row] = sql.rows(_AGE, {"name": name}) or [{"age": None}]
    found: float | None = row["age"]
    return found
