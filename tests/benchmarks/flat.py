"""Flat: what a contact costs must not depend on what is there, on the batch's size, or on a worker's age.

`python -m tests.benchmarks.flat` prints

1. contacts per second into an empty database, and into one that holds 5,000,000 memberships: two stacks that
   take turns, the same batches, medians of five rounds. A fifth of the five million are on the list that
   grows; a third of them have been on a journey; numbers fall everywhere between those that are there.
2. the resident memory of the ingesting processes while 1,000,000 contacts go through them.
3. the statements of a slice of 10, 100 and 1,000 contacts, to the end of its job.
"""

import os
import time
from statistics import median

from tests.benchmarks.common import (
    BATCH,
    NUMBER_SQL,
    Running,
    bodies,
    body,
    children,
    cpu_seconds,
    heading,
    ingest,
    know,
    running,
    scaled,
    table,
)

MEMBERSHIPS, BATCHES, ROUNDS, LISTS = 5_000_000, 30, 5, 100
STREAM, PORTION = 1_000_000, 50_000
SLICES = (10, 100, 1_000)
FIRST = 20_000_000
"""The number from which on the five million are taken; the batches are below."""

_FILL = {
    "contacts": f"""
        INSERT INTO contacts_contact (
            phone_number, carrier, line_type, time_zone, can_receive, verified_at, created_at
        )
        SELECT {NUMBER_SQL}, '', 'UNKNOWN', 'America/Los_Angeles', true, now(), now()
        FROM generate_series(%(first)s::bigint, %(first)s::bigint + %(count)s - 1) AS n""",
    # The contact with id c is on one list: every fifth on the one that grows.
    "memberships": """
        INSERT INTO contacts_listcontact (
            sending_list_id, contact_id, signup_date, signup_method, ip_address, url, custom_fields,
            created_at, updated_at
        )
        SELECT CASE id %% 5 WHEN 0 THEN %(list)s ELSE (%(lists)s::bigint[])[id %% 100 + 1] END, id,
               now() - id * interval '10 seconds', 'api',
               CASE id %% 3 WHEN 0 THEN ('198.51.100.' || id %% 256)::inet END,
               CASE id %% 3 WHEN 0 THEN 'https://shop.example.com/join?page=' || id %% 100 ELSE '' END,
               jsonb_build_object(
                   'plan', CASE id %% 2 WHEN 0 THEN 'gold' ELSE 'tin' END, 'first_name', 'Jane ' || id
               ), now(), now()
        FROM contacts_contact""",
    "enrollments": """
        INSERT INTO journeys_enrollment (
            journey_id, version_id, list_contact_id, status, step, taken, due_at, attempts, enrolled_at,
            ended_at
        )
        SELECT journey.id, journey.version_id, member.id, 'completed', 'hello', 1, now(), 0, now(), now()
        FROM contacts_listcontact AS member, journeys_journey AS journey WHERE member.id %% 3 = 0""",
    "tallies": """
        INSERT INTO contacts_listtally (sending_list_id, members, active)
        SELECT sending_list_id, count(*), count(*) FROM contacts_listcontact GROUP BY 1""",
    "jobs": """
        INSERT INTO bulk_bulkjob (
            id, account_id, kind, status, total, processed, success_count, error_count, created_at,
            started_at, completed_at, summary
        )
        SELECT gen_random_uuid(), %(account)s, 'contacts.bulk', 'completed', 1000, 1000, 1000, 0, now(),
               now(), now(), '{}'
        FROM generate_series(1, %(count)s / 1000)""",
    "slices": """
        INSERT INTO bulk_bulkslice (
            job_id, lane, status, size, payload, attempts, claimed_by, sent_at, finished_at, success_count,
            error_count, contacts_created, list_contacts_created, journeys_enrolled, results, errors, lists
        )
        SELECT id, 'ingest', 'done', 1000, '', 0, '', now(), now(), 1000, 0, 1000, 1000, 333, '[]', '[]', '{}'
        FROM bulk_bulkjob""",
}
"""Statement by statement; foreign keys and triggers are off, for they are right by construction."""


def fill(run: Running, count: int) -> float:
    """Make so many memberships, and what belongs to them; the seconds that it took."""
    began = time.perf_counter()
    options = [part for n in range(LISTS) for part in ("--list", f"+1800556{1000 + n}")]
    run.stack.manage("create_account", "Large", *options, "--json")
    account, lists = run.connection.execute(
        "SELECT account_id, array_agg(id) FROM contacts_sendinglist WHERE account_id <> %s GROUP BY 1",
        [run.account.id],
    ).fetchall()[0]
    values = {"first": FIRST, "count": count, "account": account, "list": run.account.list_id, "lists": lists}
    with run.connection.transaction():
        run.connection.execute("SET LOCAL session_replication_role = replica")
        for statement in _FILL.values():
            run.connection.execute(statement, values)
    run.settle_down()
    made = run.value("SELECT count(*) FROM contacts_listcontact")
    assert made == count, made
    return time.perf_counter() - began


def side_by_side(empty: Running, full: Running) -> None:
    """The first table."""
    batches = scaled(BATCHES, 2)
    found: dict[str, list[tuple[float, float]]] = {"empty": [], "full": []}
    count = scaled(MEMBERSHIPS, 10_000)
    seconds = fill(full, count)
    others = {run: run.new_account("Elsewhere", "+18005550000") for run in (empty, full)}
    know(full, others[full], 0, (ROUNDS + 1) * batches * BATCH)
    for run in (empty, full):  # every process has begun to work
        ingest(run, bodies(4 * BATCH, ROUNDS * batches * BATCH))
    for turn in range(ROUNDS):
        contents = bodies(batches * BATCH, turn * batches * BATCH)
        empty.empty()
        know(empty, others[empty], turn * batches * BATCH, batches * BATCH)
        for name, run in (("empty", empty), ("full", full)):
            run.settle_down()
            used = sum(cpu_seconds(run.stack).values())
            took = ingest(run, contents)
            used = sum(cpu_seconds(run.stack).values()) - used
            found[name].append((took / batches * 1e3, used / batches * 1e3))
    ratios = [
        median(there[part] / here[part] for here, there in zip(found["empty"], found["full"], strict=True))
        for part in (0, 1)
    ]
    table(
        ("memberships at the start", "ms per 1,000", "CPU ms per 1,000", "x empty", "x empty, CPU"),
        (
            (f"{at:,}", *(f"{median(part):.0f}" for part in zip(*found[name], strict=True)), *compared)
            for name, at, compared in (
                ("empty", 0, ("", "")),
                ("full", count, tuple(f"{ratio:.2f}" for ratio in ratios)),
            )
        ),
    )
    print(f"(The full one was filled in {seconds:.0f} s.)\n", flush=True)


def stream(run: Running) -> None:
    """The second table."""
    count, rows = scaled(STREAM, 4 * BATCH), []
    portion = min(PORTION, count // 4 // BATCH * BATCH)
    run.empty()
    processes, sent, began = children(run.stack, "worker"), 0, time.perf_counter()
    shown = {count // portion * part // 4 * portion for part in range(5)}
    while True:
        if sent in shown:
            memory = [process.memory_info().rss / 2**20 for process in processes]
            rows.append((f"{sent:,}", *(f"{mib:.0f}" for mib in memory)))
        if sent + portion > count:
            break
        ingest(run, bodies(portion, sent))
        sent += portion
    seconds = time.perf_counter() - began
    table(("contacts so far", *(f"worker {n + 1}, MiB" for n in range(len(processes)))), rows)
    print(f"({sent:,} contacts in {seconds:.0f} s, the client's preparations included.)\n", flush=True)


def statements_per_slice() -> None:
    """The third table: in this process, on the database of a stack of its own."""
    with running(product=False) as run:
        know(run, run.new_account("Elsewhere", "+18005550000"), 0, 20_000)
        os.environ.update(run.stack.environment)
        import django  # noqa: PLC0415 - the settings are known now

        django.setup()
        table(("contacts in the slice", "statements"), _count(run))


def _count(run: Running) -> list[tuple[int, int]]:
    from accounts.models import Account  # noqa: PLC0415
    from core.http.body import read_object  # noqa: PLC0415
    from ingestion.batch import read_batch  # noqa: PLC0415
    from ingestion.intake.accept import accept  # noqa: PLC0415
    from ingestion.jobs.process import process  # noqa: PLC0415
    from tests.support import statements  # noqa: PLC0415

    account, found, first = Account.objects.get(pk=run.account.id), [], 0
    for size in SLICES:
        _, [slice_id] = accept(account, read_batch(read_object(body(first, size))))
        with statements() as sent:
            process(slice_id)
        found.append((size, len(sent)))
        first += size
    return found


def main() -> None:
    heading(__doc__)
    with running() as empty:
        empty.greet(meanwhile=False)
        with running() as full:
            full.greet(meanwhile=False)
            side_by_side(empty, full)
        stream(empty)
    statements_per_slice()


if __name__ == "__main__":
    main()
