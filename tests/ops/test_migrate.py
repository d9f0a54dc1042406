"""Migrations while the product works: what they wait for holds up nothing else, and a second run goes on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import migrations
from django.db.migrations.loader import MigrationLoader
from psycopg.errors import UniqueViolation

from devstack.stack import ROOT, Stack

LARGE = {"bulkjob", "bulkslice", "contact", "listcontact"} | {"enrollment", "outboundmessage"}
LARGE |= {"ledgerentry", "validation"}
"""Models whose tables grow with what is ingested."""
BEFORE = {("bulk", "0004_turns"), ("contacts", "0005_one_index"), ("journeys", "0004_without_lists")}
BEFORE |= {("billing", "0004_ledger_rules")}
"""Migrations of the first version, which found empty tables, and those before them."""
JOB = """
INSERT INTO bulk_bulkjob
    (id, account_id, kind, status, total, processed, success_count, error_count, created_at, summary)
VALUES (gen_random_uuid(), 1, 'contacts.bulk', 'queued', 1, 0, 0, 0, now(), '')
"""


@pytest.fixture
def database(new_database: str) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(new_database, autocommit=True) as connection:
        yield connection


def migrate(servers: Stack, url: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "migrate", *arguments],
        env={**os.environ, **servers.environment, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_lock_is_not_waited_for_while_others_wait_behind_it(
    servers: Stack, new_database: str, database: "psycopg.Connection[Any]"
) -> None:
    servers.manage("migrate", "bulk", "0005", environment={"DATABASE_URL": new_database})
    with psycopg.connect(new_database) as reader:
        reader.execute("SELECT FROM bulk_bulkjob")  # and does not end its transaction
        running = migrate(servers, new_database, "bulk", "0006")
        assert running.stdout is not None
        said = next(line for line in running.stdout if "lock" in line)
        assert said.endswith("A lock was not to be had within 2 s; trying again.\n")
        # Nothing of it waits now, so that what works on the table need not wait either.
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'bulk_bulkjob'::regclass"
        assert database.execute(waiting).fetchone() == (0,)
    running.communicate()
    assert running.returncode == 0
    assert database.execute("SELECT request_id FROM bulk_bulkjob").fetchall() == []


def test_an_index_that_was_left_unfinished_is_built_anew_and_a_finished_one_is_kept(
    servers: Stack, new_database: str, database: "psycopg.Connection[Any]"
) -> None:
    """As after a kill in the middle of `bulk.0005`: the next run goes on where it was."""
    build = "CREATE {} INDEX CONCURRENTLY bulk_job_listed ON bulk_bulkjob ({})"
    valid = "SELECT indisvalid, indexrelid FROM pg_index WHERE indexrelid = 'bulk_job_listed'::regclass"
    servers.manage("migrate", "bulk", "0004", environment={"DATABASE_URL": new_database})
    database.execute("SET session_replication_role = replica")  # rows without the account that they name
    for _ in range(2):
        database.execute(JOB)
    with pytest.raises(UniqueViolation):
        database.execute(build.format("UNIQUE", "account_id"))
    assert database.execute(valid).fetchall()[0][0] is False
    servers.manage("migrate", "bulk", "0005", environment={"DATABASE_URL": new_database})
    built = database.execute(valid).fetchall()
    assert built[0][0] is True
    database.execute("DELETE FROM django_migrations WHERE app = 'bulk' AND name LIKE '0005%'")
    servers.manage("migrate", "bulk", "0005", environment={"DATABASE_URL": new_database})
    assert database.execute(valid).fetchall() == built


def test_no_migration_builds_an_index_of_a_large_table_while_it_locks_the_table() -> None:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    old = {node for key in BEFORE for node in loader.graph.forwards_plan(key)}
    looked_at = 0
    for key, migration in loader.disk_migrations.items():
        if key in old or key[0] not in {"bulk", "contacts", "journeys", "billing"}:
            continue
        for operation in migration.operations:
            looked_at += 1
            if getattr(operation, "model_name", "") in LARGE:
                locks = type(operation) in {migrations.AddIndex, migrations.RemoveIndex}
                assert not locks, f"{key}: {operation.describe()}: use AddIndexConcurrently"
    assert looked_at
