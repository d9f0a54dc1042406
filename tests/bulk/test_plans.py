"""What a batch reads does not grow with the tables, whatever the planner knows of them."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

import environ
import pytest
import pytest_django
from django.db import connection
from django.utils import timezone

from accounts.models import Account
from contacts.models import ListContact, SendingList
from ingestion.batch import read_batch
from ingestion.intake.dry_run import dry_run
from ingestion.jobs import process as processing
from ingestion.models import BulkJob
from journeys.engine.advance import advance
from journeys.engine.claim import claim
from tests.support import accept_batch, contact, joins, new_account, new_journey, new_numbers

T = TypeVar("T")
InDatabase = Callable[[Callable[[], T]], T]

GROWING = ("contacts_contact", "contacts_listcontact", "journeys_enrollment")
_READS = """
SELECT relname, seq_scan, seq_tup_read + COALESCE(idx_tup_fetch, 0) FROM pg_stat_user_tables
WHERE relname = ANY(%s)
"""


@pytest.fixture
def in_new_database(
    new_database: str, django_db_blocker: pytest_django.DjangoDbBlocker
) -> Iterator[InDatabase[Any]]:
    """Runs a function on a new database that autovacuum leaves alone.

    In a thread, whose connection is new, too: a foreign key's check keeps its plan as long as that.
    """
    place = environ.Env.db_url_config(new_database)

    def run(work: Callable[[], Any]) -> Any:
        connection.settings_dict = {
            **connection.settings_dict,
            **{name: place[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")},
        }
        try:
            with connection.cursor() as cursor:
                for table in (*GROWING, "bulk_bulkjob", "bulk_bulkslice"):
                    cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            return work()
        finally:
            connection.close()

    with django_db_blocker.unblock(), ThreadPoolExecutor(1) as pool:
        yield lambda work: pool.submit(run, work).result()


class Reads:
    """`with reads: …`, then `scans`, reads from end to end, and `rows` that were read, each by table."""

    def __init__(self, *tables: str) -> None:
        self._tables = list(tables)
        self.scans: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._before = self._look()
        return self

    def __exit__(self, *_: object) -> None:
        now = self._look()
        self.scans, self.rows = (after - before for after, before in zip(now, self._before, strict=True))

    def _look(self) -> tuple[Counter[str], Counter[str]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")  # what this session has counted so far
            cursor.execute(_READS, [self._tables])
            found = cursor.fetchall()
        return Counter({name: scans for name, scans, _ in found}), Counter(
            {name: rows for name, _, rows in found}
        )


def analyse() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def ingest(account: Account, contacts: list[dict[str, Any]]) -> None:
    job, slices = accept_batch(account, *contacts)
    for slice_id in slices:
        processing.process(slice_id)
    assert BulkJob.objects.get(pk=job.pk).status == "completed"


_MORE = """
WITH made AS (
    INSERT INTO contacts_contact (
        phone_number, carrier, line_type, time_zone, can_receive, verified_at, created_at
    )
    SELECT '+1212' || 2000000 + number, '', 'UNKNOWN', '', true, now(), now()
    FROM generate_series(%(first)s::int, %(first)s::int + 9999) AS number
    RETURNING id
)
INSERT INTO contacts_listcontact (
    sending_list_id, contact_id, signup_date, signup_method, url, custom_fields, created_at, updated_at
)
SELECT %(list)s, id, now(), 'api', '', '{}', now(), now() FROM made
"""


def grow(sending_list: SendingList) -> None:
    """The list has 10,000 contacts more."""
    with connection.cursor() as cursor:
        cursor.execute(_MORE, {"list": sending_list.pk, "first": ListContact.objects.count()})


def newcomers(count: int) -> list[dict[str, Any]]:
    return [contact(number, use_journeys=True) for number in new_numbers(count)]


def changed(contacts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "custom_fields": {"again": "yes"}} for one in contacts]


@pytest.mark.parametrize("analysed", ["never", "while tiny"])
def test_no_slice_reads_a_table_of_contacts_from_end_to_end(
    in_new_database: InDatabase[None], analysed: str
) -> None:
    def work() -> None:
        account, sending_list = new_account()
        new_journey(account, joins(sending_list))
        first = newcomers(20)
        for one in first:  # as a person does who tries it
            ingest(account, [one])
        if analysed == "while tiny":
            analyse()
            for one in first:  # plans that are kept are made now
                ingest(account, [one, *newcomers(1)])
        batches = []
        for _ in range(4):
            grow(sending_list)
            with (reads := Reads(*GROWING)):
                batch = newcomers(300)
                ingest(account, batch)
                ingest(account, changed(batch))
                dry_run(account, read_batch({"contacts": json.dumps(batch).encode()}))
            assert not reads.scans
            batches.append(reads.rows)
        for table in GROWING:
            assert batches[-1][table] <= 1.1 * batches[0][table]

    in_new_database(work)


def test_the_check_that_a_slice_has_a_job_does_not_read_all_jobs(
    in_new_database: InDatabase[None], settings: Any
) -> None:
    settings.TRACKLY_MAX_BACKLOG = settings.TRACKLY_ACCOUNT_BACKLOG = (
        0  # to add up what waits is another matter
    )

    def work() -> None:
        account, _ = new_account()
        ingest(account, newcomers(1))
        analyse()
        for _ in range(10):
            ingest(account, newcomers(1))
        BulkJob.objects.bulk_create(BulkJob(account=account, total=1) for _ in range(500))
        with (reads := Reads("bulk_bulkjob")):
            accept_batch(account, *newcomers(1))
        assert not reads.scans

    in_new_database(work)


@pytest.mark.parametrize("analysed", ["never", "while tiny"])
def test_enrollments_that_go_on_read_no_table_from_end_to_end(
    in_new_database: InDatabase[None], analysed: str, settings: Any
) -> None:
    settings.TRACKLY_QUIET_HOURS = ()  # messages are written at any time of the day

    def work() -> None:
        account, sending_list = new_account()
        new_journey(account, joins(sending_list), {"kind": "message", "id": "m", "text": "Hello"})

        def step_until_blocked() -> Counter[str]:
            now = timezone.now()
            sets = claim(now)
            with (reads := Reads(*GROWING)):
                for ids in sets:
                    assert advance(ids, now) == (len(ids), len(ids))
            return reads.scans

        for place in range(10):
            ingest(account, newcomers(1))
            if analysed == "while tiny" and place == 1:
                analyse()
            step_until_blocked()
        for _ in range(3):
            grow(sending_list)
            ingest(account, newcomers(300))
            assert not step_until_blocked()

    in_new_database(work)
