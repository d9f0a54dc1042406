"""A database that is full, or too slow: refused clearly, nothing half done, and well again without help."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from psycopg import Connection

from tests.conftest import Launch, RunningStack
from tests.support import Api, contact, eventually

# What PostgreSQL says when the disk is full (SQLSTATE 53100), said for the tables that acceptance writes.
_FULL = """
CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION full_disk();
"""


def _full(table: str) -> str:
    return _FULL.replace("{table}", table)


@pytest.fixture(scope="module")
def stack(launch: Launch) -> Iterator[RunningStack]:
    with launch("ill_database", TRACKLY_SLICE_LEASE="2", TRACKLY_SWEEP_AFTER="2") as running:
        yield running


def refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def send(api: Api) -> httpx.Response:
    return api.bulk(contact(), contact(), prefer="respond-async")


@pytest.mark.parametrize("table", ["bulk_bulkjob", "bulk_bulkslice"])
def test_a_full_disk_refuses_and_keeps_nothing(stack: RunningStack, table: str) -> None:
    api = stack.account()
    with stack.connect() as connection:
        connection.execute(_full(table))
        try:
            refused(send(api))
        finally:
            connection.execute(f"DROP TRIGGER full_disk ON {table}")
    assert stack.count("SELECT count(*) FROM bulk_bulkjob WHERE account_id = %s", api.account_id) == 0
    assert api.ended_job(send(api))["status"] == "completed"


def test_what_was_accepted_waits_until_the_disk_has_room(stack: RunningStack) -> None:
    """The worker's writes fail; its slice is tried again, and nothing of it was done meanwhile."""
    api = stack.account()
    with stack.connect() as connection:
        connection.execute(_full("contacts_contact"))
        try:
            accepted = send(api)
            assert accepted.status_code == 202
            eventually(lambda: stack.count("SELECT max(attempts) FROM bulk_bulkslice"))
        finally:
            connection.execute("DROP TRIGGER full_disk ON contacts_contact")
    job = api.ended_job(accepted)
    assert (job["status"], job["success_count"]) == ("completed", 2)
    members = (
        "SELECT count(*) FROM contacts_listcontact m JOIN contacts_sendinglist l ON l.id = sending_list_id"
    )
    assert stack.count(f"{members} WHERE l.account_id = %s", api.account_id) == 2


def test_statements_that_time_out_are_refused_until_they_do_not(stack: RunningStack) -> None:
    api = stack.account()
    with stack.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE bulk_bulkjob IN ACCESS EXCLUSIVE MODE")  # whoever comes waits
        other = stack.connect()
        other.execute("ALTER DATABASE ill_database SET statement_timeout = '200ms'")
        _new_connections(other, connection.info.backend_pid)
        refused(send(api))
        connection.execute("ROLLBACK")
        other.execute("ALTER DATABASE ill_database RESET statement_timeout")
        _new_connections(other, connection.info.backend_pid)
        other.close()
    assert api.ended_job(send(api))["status"] == "completed"
    assert stack.count("SELECT count(*) FROM bulk_bulkjob WHERE account_id = %s", api.account_id) == 1


def _new_connections(connection: Connection[Any], but: int) -> None:
    """End all others' connections: what the database is set to counts for new ones."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
        [but],
    )
