"""Welcome Journeys: a crowd that is due at once, and what matching costs a slice.

`python -m tests.benchmarks.journeys [CROWD]` prints, each from one run:

1. 100,000 enrollments that are due at one moment, in the real stack, with one and with two worker processes:
   enrollments that went on per second, the workers' memory, and whether the rows are as they must be;
   the same with one task per enrollment (a fiftieth of the crowd), which is what the sets are for.
2. A slice of 1,000 newcomers against 50 active journeys with nested triggers: statements and time.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg

from devstack.home import Home, free_port
from devstack.stack import Stack
from tests import crowd

CROWD = 100_000


@contextmanager
def running(workers: int, **environment: str) -> Iterator[tuple[Stack, "psycopg.Connection[Any]"]]:
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        os.environ["WORKERS"] = str(workers)
        stack = Stack(Home(Path(folder) / "home"), output=log)
        try:
            stack.start_servers()
            stack.environment |= {"TRACKLY_QUIET_HOURS": "", "LOG_LEVEL": "WARNING", **environment}
            if workers:
                stack.start_product(free_port())
            else:
                stack.manage("migrate", "--verbosity", "0")
            stack.create_demo_account()
            with psycopg.connect(stack.environment["DATABASE_URL"], autocommit=True) as connection:
                yield stack, connection
        finally:
            stack.stop()


def megabytes(stack: Stack) -> list[int]:
    """Of the journeys' worker processes: the children of the pool."""
    found = [
        process
        for process in psutil.process_iter(["cmdline", "environ", "memory_info"])
        if "journeys" in (process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("TRACKLY_HOME") == str(stack.home.path)
    ]
    mothers = {process.pid for process in found}
    return sorted(process.info["memory_info"].rss // 2**20 for process in found if process.ppid() in mothers)


def measure_crowd(workers: int, count: int, **environment: str) -> None:
    with running(workers, **environment) as (stack, connection):
        [(list_id,)] = connection.execute("SELECT id FROM contacts_sendinglist").fetchall()
        crowd.gather(connection, list_id, 1_000, first=900_000)  # the workers have begun to work
        _wait(connection, 1_000)
        before = megabytes(stack)
        crowd.gather(connection, list_id, count)
        began = time.perf_counter()
        _wait(connection, 1_000 + count)
        advanced = time.perf_counter() - began
        after = megabytes(stack)
        while left := crowd.differences(connection):
            time.sleep(0.5)
            if time.perf_counter() - began > 20 * advanced + 120:
                break
        sent = time.perf_counter() - began
        print(
            f"{workers:>7}{count:>9,}{environment.get('TRACKLY_ADVANCE_SIZE', '200'):>5}{advanced:>9.1f}"
            f"{count / advanced:>10,.0f}{sent:>9.1f}   {before} -> {after}   {left or 'none'}",
            flush=True,
        )


def _wait(connection: "psycopg.Connection[Any]", count: int) -> None:
    """Until so many have gone on."""
    while True:
        [(done,)] = connection.execute("SELECT count(*) FROM journeys_enrollment WHERE taken > 0").fetchall()
        if done >= count:
            return
        time.sleep(0.1)


def nested(list_ids: list[int], number: int) -> dict[str, Any]:
    """A trigger of three levels, which half of the newcomers meet."""
    plans = {"kind": "field", "name": "plan", "operator": "in", "values": ["gold", f"plan {number}"]}
    never = {"kind": "field", "name": "source", "operator": "contains", "values": [f"shop {number}"]}
    inner = {"kind": "all", "of": [plans, {"kind": "field", "name": "first_name", "operator": "exists"}]}
    other = {"kind": "list", "operator": "not_on", "lists": list_ids[1:]}
    joins = {"kind": "list", "operator": "on", "lists": list_ids[:1]}
    return {"kind": "all", "of": [joins, {"kind": "any", "of": [never, inner]}, other]}


def measure_matching(journeys: int) -> None:
    """In this process, on the database of a stack of its own."""
    with running(0) as (stack, _):
        os.environ.update(stack.environment)
        import django  # noqa: PLC0415 - the settings are known now

        django.setup()
        _match(journeys)


def _match(journeys: int) -> None:
    from django.db import transaction  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from contacts.models import SendingList  # noqa: PLC0415
    from journeys.enroll import enroll, greetings  # noqa: PLC0415
    from journeys.models import Enrollment, Journey  # noqa: PLC0415
    from tests.journeys.support import member, newcomer  # noqa: PLC0415
    from tests.support import new_journey, statements  # noqa: PLC0415

    Journey.objects.update(status="draft")
    first = SendingList.objects.get()
    second = SendingList.objects.create(account=first.account, phone_number="+18005550002")
    for number in range(journeys):
        new_journey(first.account, nested([first.pk, second.pk], number), name=f"Journey {number}")
    joined = [
        newcomer(
            member(first, timezone.now(), plan="gold" if n % 2 else "tin", first_name="Jane", source="web")
        )
        for n in range(1_000)
    ]
    strangers = [
        replace(one, fields={"plan": "tin", "first_name": "Jane", "source": "web"}) for one in joined
    ]
    matching, all_in_all, nobody = [], [], []
    for _ in range(7):
        with transaction.atomic(), statements() as sent:
            began = time.perf_counter()
            by_list = greetings([first.pk])
            compiled = time.perf_counter() - began
        with transaction.atomic():
            Enrollment.objects.all().delete()
        with transaction.atomic(), statements() as sent:
            began = time.perf_counter()
            made = enroll(joined)
            all_in_all.append(time.perf_counter() - began)
        with transaction.atomic():
            began = time.perf_counter()
            assert enroll(joined) == set()  # nothing is written: what is left is the matching
            matching.append(time.perf_counter() - began)
        with transaction.atomic():
            began = time.perf_counter()
            assert enroll(strangers) == set()
            nobody.append(time.perf_counter() - began)
    print(
        f"{len(by_list[first.pk])} active journeys, 1,000 newcomers, {len(made):,} enrollments:"
        f" {len(sent)} statements; triggers read and compiled {compiled * 1000:.1f} ms,"
        f" with {len(made):,} rows written {median(all_in_all) * 1000:.0f} ms,"
        f" with all of them there already {median(matching) * 1000:.0f} ms,"
        f" where nobody matches {median(nobody) * 1000:.0f} ms"
    )


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else CROWD
    print("workers    crowd  set        s    each/s   sent s   MiB of each, before -> after   differences")
    for processes in (1, 2):
        measure_crowd(processes, wanted)
    for processes in (1, 2):
        measure_crowd(processes, wanted // 50, TRACKLY_ADVANCE_SIZE="1")
    print()
    measure_matching(50)
