"""Throughput: our way and four others, with the same contacts into the same tables of one PostgreSQL.

`python -m tests.benchmarks.throughput` prints contacts per second, medians of three rounds in which the
shapes take turns, each on empty tables. Two thirds of the numbers are new to the system, the others another
account's already; all are new on the list, and a third enrolls in a journey. After each turn the rows are
counted: contacts, memberships, enrollments.

- ours: `POST /contacts/bulk` of 1,000 with `respond-async` over four connections, from the first byte until
  the last job is completed. The journeys' workers rest, as the others have none; then once more while
  they greet.
- cold: the same on a stack of its own that has just started, on a new server: its database was never
  analysed, its processes have done nothing yet. All other shapes find analysed tables and warm processes.
- literal: a chord per batch, one Celery task per contact with ORM `get_or_create`; fewer batches, because
  its time is in proportion.
- ORM in the request: DRF serializer and `bulk_create(update_conflicts=True)` in the view, no job, no queue.
- import-export: django-import-export in bulk mode, in the view.
- limit: `COPY` of the very rows, one process, one transaction, indexes, constraints and triggers included;
  the rows are prepared before the clock starts.

Gunicorns and workers have the same number of processes in all shapes (tests.benchmarks.peers says how they
are tuned). Redis and PostgreSQL are the stack's own, commits wait for the disk.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from psycopg import sql

from devstack.home import free_port
from devstack.stack import answers
from devstack.supervisor import Service
from tests.benchmarks.common import (
    BATCH,
    Account,
    Running,
    bodies,
    enrolls,
    heading,
    ingest,
    know,
    number,
    running,
    scaled,
    send,
    table,
)
from tests.benchmarks.peers.app import QUEUE

ROUNDS = 3
OURS, LITERAL, LIMIT = "ours", "literal", "limit (COPY)"
GREETING = "ours, greeting meanwhile"
COLD = "cold: a new database, never analysed"
ORM, IMPORT_EXPORT = "ORM in the request", "import-export"
CONTACTS = {
    OURS: 100_000,
    COLD: 100_000,
    GREETING: 100_000,
    LITERAL: 3_000,
    ORM: 60_000,
    IMPORT_EXPORT: 20_000,
    LIMIT: 100_000,
}

Shape = Callable[[int], float]
"""Writes so many contacts into the empty tables; the seconds that it took."""


def start_peers(run: Running) -> int:
    """The peers' gunicorn and Celery worker; the gunicorn's port."""
    port = free_port()
    environment = {**run.stack.environment, "DJANGO_SETTINGS_MODULE": "tests.benchmarks.peers.settings"}
    celery = [sys.executable, "-m", "celery", "--quiet", "-A", "tests.benchmarks.peers.app", "worker"]
    celery += ["--without-gossip", "--without-mingle", "-l", "WARNING"]
    celery += ["-n", "literal@%h", "-Q", QUEUE, "-c", str(run.workers)]
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:trackly.web.server", "trackly.asgi"]
    gunicorn += ["-b", f"127.0.0.1:{port}"]
    start = run.stack.supervisor.start
    start(Service(name="literal", command=celery, environment=environment))
    ready = f"http://127.0.0.1:{port}/healthz"
    start(Service(name="peers", command=gunicorn, environment=environment, ready=lambda _: answers(ready)))
    return port


def by_us(run: Running, count: int) -> float:
    return ingest(run, bodies(count))


def by_us_greeting(run: Running, count: int) -> float:
    """With the journeys' workers at the new enrollments, from the first on."""
    run.greet(meanwhile=True)
    try:
        return ingest(run, bodies(count))
    finally:
        run.greet(meanwhile=False)


def by_tasks(run: Running, port: int, count: int) -> float:
    contents = bodies(count)
    began = time.perf_counter()
    send(port, run.account, contents, path="/peers/literal")
    run.until_ended(len(contents))
    return time.perf_counter() - began


def in_request(run: Running, port: int, path: str, count: int) -> float:
    contents = bodies(count)
    began = time.perf_counter()
    send(port, run.account, contents, path=path, prefer="", status=200)
    return time.perf_counter() - began


_COPIES = {
    "contacts_contact": (
        "id, phone_number, carrier, line_type, time_zone, can_receive, verified_at, created_at"
    ),
    "contacts_listcontact": (
        "id, sending_list_id, contact_id, signup_date, signup_method, ip_address, url, custom_fields,"
        " created_at, updated_at"
    ),
    "journeys_enrollment": (
        "id, journey_id, version_id, list_contact_id, status, step, taken, due_at, attempts, enrolled_at"
    ),
}


def by_copy(run: Running, count: int) -> float:
    rows = copied_rows(run, count)
    began = time.perf_counter()
    with run.connection.transaction(), run.connection.cursor() as cursor:
        for name, content in rows.items():
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(name), sql.SQL(_COPIES[name])
            )
            with cursor.copy(statement) as copy:
                copy.write(content)
    return time.perf_counter() - began


def copied_rows(run: Running, count: int) -> dict[str, bytes]:
    """The rows that the other shapes make of the first `count` contacts, as COPY's text, by table."""
    known = dict(run.connection.execute("SELECT phone_number, id FROM contacts_contact").fetchall())
    journey, version = run.connection.execute("SELECT id, version_id FROM journeys_journey").fetchall()[0]
    first = {name: run.value(f"SELECT nextval('{name}_id_seq')") for name in _COPIES}
    for name in _COPIES:
        run.value(f"SELECT setval('{name}_id_seq', %s)", first[name] + count)
    lines: dict[str, list[str]] = {name: [] for name in _COPIES}
    now = "2026-01-01 00:00:00+00"
    for n in range(count):
        phone_number = number(n)
        contact_id = known.get(phone_number)
        if contact_id is None:
            contact_id = first["contacts_contact"] + n
            lines["contacts_contact"].append(
                f"{contact_id}\t{phone_number}\t\tUNKNOWN\tAmerica/Los_Angeles\tt\t{now}\t{now}\n"
            )
        member_id = first["contacts_listcontact"] + n
        fields = f'{{"plan": "{"gold" if n % 2 else "tin"}", "first_name": "Jane {n}"}}'
        url, address = "", "\\N"
        if n % 3 == 0:
            url, address = f"https://shop.example.com/join?page={n % 100}", f"198.51.100.{n % 256}"
        lines["contacts_listcontact"].append(
            f"{member_id}\t{run.account.list_id}\t{contact_id}\t{now}\tapi\t{address}\t{url}\t{fields}\t{now}\t{now}\n"
        )
        if enrolls(n):
            lines["journeys_enrollment"].append(
                f"{first['journeys_enrollment'] + n}\t{journey}\t{version}\t{member_id}"
                f"\tactive\t\t0\t{now}\t0\t{now}\n"
            )
    return {name: "".join(made).encode() for name, made in lines.items()}


def verify(run: Running, count: int) -> None:
    """The rows of the first `count` contacts are there, once each. Raises AssertionError."""
    wanted = {
        "contacts": ("SELECT count(*) FROM contacts_contact", count),
        "memberships": (
            f"SELECT count(*) FROM contacts_listcontact WHERE sending_list_id = {run.account.list_id}",
            count,
        ),
        "enrollments": ("SELECT count(*) FROM journeys_enrollment", sum(map(enrolls, range(count)))),
    }
    found = {what: (run.value(query), right) for what, (query, right) in wanted.items()}
    assert all(made == right for made, right in found.values()), found


def measure(run: Running, other: Account, shape: Shape, count: int) -> float:
    """Contacts per second of a turn."""
    run.empty()
    know(run, other, 0, count)
    seconds = shape(count)
    verify(run, count)
    return count / seconds


def measure_cold(count: int) -> float:
    """The same, on a new stack that nothing has warmed up."""
    with running() as run:
        run.connection.execute("ALTER SYSTEM SET autovacuum = off")  # also where the turn takes minutes
        run.connection.execute("SELECT pg_reload_conf()")
        other = run.new_account("Elsewhere", "+18005550000")
        run.greet(meanwhile=False)
        know(run, other, 0, count, settled=False)
        seconds = by_us(run, count)
        verify(run, count)
    return count / seconds


def main() -> None:
    heading(__doc__)
    with running(TRACKLY_SWEEP_AFTER="3600") as run:  # the sweep would end the literal shape's jobs
        other = run.new_account("Elsewhere", "+18005550000")
        run.greet(meanwhile=False)
        port = start_peers(run)
        shapes: dict[str, Shape] = {
            OURS: lambda count: by_us(run, count),
            GREETING: lambda count: by_us_greeting(run, count),
            LITERAL: lambda count: by_tasks(run, port, count),
            ORM: lambda count: in_request(run, port, "/peers/orm", count),
            IMPORT_EXPORT: lambda count: in_request(run, port, "/peers/import-export", count),
            LIMIT: lambda count: by_copy(run, count),
        }
        for name, shape in shapes.items():  # every process has begun to work
            measure(run, other, shape, 100 if name == LITERAL else 4 * BATCH)
        turns: dict[str, Callable[[int], float]] = {COLD: measure_cold}
        turns |= {name: partial(measure, run, other, shape) for name, shape in shapes.items()}
        found: dict[str, list[float]] = {name: [] for name in CONTACTS}
        for _ in range(ROUNDS):
            for name, count in CONTACTS.items():
                found[name].append(turns[name](scaled(count, 100)))
    show(found)


def show(found: dict[str, list[float]]) -> None:
    """Ratios are of the same round, and of them the median."""

    def ratio(name: str, to: str) -> str:
        return f"{median(a / b for a, b in zip(found[name], found[to], strict=True)):.2f}"

    table(
        ("shape", "contacts", "per s", "lowest", "highest", "x literal", "x limit", "x ours"),
        (
            (
                name,
                f"{scaled(CONTACTS[name], 100):,}",
                f"{median(speeds):,.0f}",
                f"{min(speeds):,.0f}",
                f"{max(speeds):,.0f}",
                ratio(name, LITERAL),
                ratio(name, LIMIT),
                ratio(name, OURS),
            )
            for name, speeds in found.items()
        ),
    )


if __name__ == "__main__":
    main()
