"""What the benchmarks share: a stack as in production, contacts by the thousand, a client, figures, tables.

All of them measure with settings of production that need no network (`TRACKLY_SANDBOX=0`, and so
`TRACKLY_CARRIER=offline`: new numbers are checked against phonenumbers' metadata), with a PostgreSQL whose
commits wait for the disk. `SCALE=0.1` makes everything a tenth as large, for a quick try.
"""

import http.client
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

import psutil
import psycopg
from celery import Celery

from devstack import servers
from devstack.home import Home, free_port
from devstack.stack import ROOT, Stack

LIST = "+18005551234"
"""Of the demo account: its journey greets whoever joins it."""
BATCH = 1_000
_SCALE = float(os.environ.get("SCALE") or 1)
_PRODUCTION = {
    "TRACKLY_SANDBOX": "0",
    "TRACKLY_HTTPS": "0",
    "TRACKLY_QUIET_HOURS": "",
    "LOG_LEVEL": "WARNING",
    "LOG_FORMAT": "json",
}


def scaled(size: int, least: int = 1) -> int:
    """A size times SCALE, but `least`."""
    return max(least, round(size * _SCALE))


# --- Where it was measured ----------------------------------------------------------------------------


def heading(doc: str | None) -> None:
    """Print what a module measures, the commit and the machine."""
    print(f"{(doc or '').strip()}\n")
    dirty = "" if not _output("git", "status", "--porcelain", "-uno") else ", with changes"
    size = "" if _SCALE == 1 else f", SCALE={_SCALE:g}"
    print(f"commit    {_output('git', 'rev-parse', '--short=12', 'HEAD')}{dirty}{size}")
    print(f"when      {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    cpuinfo = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    memory = psutil.virtual_memory().total / 2**30
    print(f"machine   {models[0] if models else platform.processor()}, {psutil.cpu_count()} cores,", end=" ")
    print(f"{memory:.0f} GiB; {platform.system()} {platform.release()}")
    postgres = _output(str(servers.find(servers.POSTGRES)), "--version").removeprefix("postgres ")
    redis = _output(str(servers.find(servers.REDIS)), "--version").partition("v=")[2].partition(" ")[0]
    print(f"software  Python {platform.python_version()}, PostgreSQL {postgres.split()[-1]}, Redis {redis}\n")


def _output(*command: str) -> str:
    """What a command prints; empty if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout.strip() if done.returncode == 0 else ""


# --- The stack ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    id: int
    key: str
    list_id: int


@dataclass(frozen=True, eq=False)
class Running:
    """The product, running; `connection` (autocommit) is the benchmark's own look at its database."""

    stack: Stack
    port: int
    account: Account
    """The demo account: LIST, and one journey that greets all who join it."""
    connection: "psycopg.Connection[Any]"
    workers: int
    """Processes that ingest."""

    def new_account(self, name: str, list_number: str, *options: str) -> Account:
        """Another account, with one list."""
        made = self.stack.manage("create_account", name, "--list", list_number, *options, "--json")
        return _account(json.loads(made))

    def value(self, statement: str, *parameters: Any) -> Any:
        """The first column of the first row."""
        found = self.connection.execute(statement, parameters).fetchone()
        return found[0] if found else None

    def until(self, holds: Callable[[], bool], *, seconds: float = 900, every: float = 0.02) -> None:
        """Wait until it holds. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not after {seconds:.0f} s")
            time.sleep(every)

    def ended(self) -> int:
        """How many of the demo account's jobs have ended."""
        ended = "SELECT count(*) FROM bulk_bulkjob WHERE account_id = %s AND completed_at IS NOT NULL"
        return int(self.value(ended, self.account.id))

    def until_ended(self, jobs: int) -> None:
        """Wait until so many of the demo account's jobs have ended. All of them must be completed."""
        self.until(lambda: self.ended() >= jobs, every=0.1)  # who looks all the time takes part
        odd = self.value("SELECT count(*) FROM bulk_bulkjob WHERE status IN ('failed', 'cancelled')")
        assert not odd, f"{odd} jobs are not completed"

    def empty(self) -> None:
        """Forget all contacts and jobs; the tables are as new, and no checkpoint is due."""
        self.connection.execute("TRUNCATE contacts_contact, contacts_listtally, bulk_bulkjob CASCADE")
        self.settle_down()

    def settle_down(self) -> None:
        """Statistics are fresh, and what was written so far troubles nobody any more."""
        self.connection.execute("VACUUM ANALYZE")
        self.connection.execute("CHECKPOINT")

    def greet(self, *, meanwhile: bool) -> None:
        """Whether the journeys' workers move enrollments on while something else is measured."""
        environment = self.stack.environment
        control = Celery(broker=environment.get("CELERY_BROKER_URL", environment["REDIS_URL"])).control
        told = control.add_consumer if meanwhile else control.cancel_consumer
        assert told("journeys", reply=True, timeout=5), "no worker of journeys answers"


def _account(created: dict[str, Any]) -> Account:
    return Account(created["account_id"], created["api_key"], created["lists"][0]["id"])


@contextmanager
def running(*, workers: int | None = None, product: bool = True, **environment: str) -> Iterator[Running]:
    """A stack of its own, that leaves nothing behind.

    `workers`: processes that ingest (and as many for journeys), as many as there are cores unless given;
    `product=False`: only the servers, and the database's tables; `environment`: settings.
    """
    with tempfile.TemporaryDirectory(prefix="trackly-bench-") as folder:
        path = Path(folder) / "log"
        with path.open("w") as log:
            stack = Stack(Home(Path(folder) / "home"), output=log)
            before = os.environ.get("WORKERS")
            count = workers or int(before or os.cpu_count() or 1)
            os.environ["WORKERS"] = str(count)
            try:
                stack.start_servers()
                stack.environment |= {**_PRODUCTION, **environment}
                port = free_port()
                if product:
                    stack.start_product(port)
                else:
                    stack.manage("migrate", "--verbosity", "0")
                account = _account(stack.create_demo_account())
                with psycopg.connect(stack.environment["DATABASE_URL"], autocommit=True) as connection:
                    yield Running(stack, port, account, connection, count)
            except BaseException:
                print(f"the log's end:\n{path.read_text()[-20_000:]}", file=sys.stderr)
                raise
            finally:
                stack.stop()
                if before is None:
                    del os.environ["WORKERS"]
                else:
                    os.environ["WORKERS"] = before


# --- Processes ----------------------------------------------------------------------------------------


def services(stack: Stack) -> dict[str, psutil.Process]:
    """The stack's processes, each the first of its tree, by name."""
    record = json.loads((stack.home.path / "processes.json").read_text())
    return {name: psutil.Process(pid) for name, pid, *_ in record}


def children(stack: Stack, name: str) -> list[psutil.Process]:
    """Those that do the work of a service that has a pool of processes."""
    return sorted(services(stack)[name].children(), key=lambda process: process.pid)


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """CPU time that each service has used so far, with its children, and those that have ended."""
    used = {
        name: sum(map(_used, [root, *root.children(recursive=True)]))
        for name, root in services(stack).items()
    }
    return {**used, "client": _used(psutil.Process(), reaped=False)}


def _used(process: psutil.Process, *, reaped: bool = True) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    gone = times.children_user + times.children_system if reaped else 0.0
    return float(times.user + times.system + gone)


# --- Contacts -----------------------------------------------------------------------------------------

AREAS = (415, 212, 310, 650, 305, 312, 404, 512, 602, 713)
"""In each all of 2000000 to 9999999 are valid numbers (phonenumbers; E.164 +1)."""
STEP, SPAN = 2_654_437, 8_000_000
"""Number after number is STEP apart in its area, so they fall all over an index; SPAN are different."""


def number(n: int) -> str:
    """The nth phone number; 80 million are different."""
    place, area = divmod(n, len(AREAS))
    return f"+1{AREAS[area]}{2_000_000 + place * STEP % SPAN}"


NUMBER_SQL = f"""'+1' || ('{{{",".join(map(str, AREAS))}}}'::int[])[n %% {len(AREAS)} + 1]
    || (2000000 + (n / {len(AREAS)}) * {STEP} %% {SPAN})"""
"""The same in SQL, of a bigint `n`."""


def is_known(n: int) -> bool:
    """A third of the numbers are another account's already: `know` puts them there."""
    return n % 3 == 1


def enrolls(n: int) -> bool:
    """A third of the contacts ask for journeys, known or not."""
    return n // 3 % 3 == 0


def contact(n: int, list_number: str = LIST) -> dict[str, Any]:
    """The nth contact; every third with evidence of consent."""
    made: dict[str, Any] = {
        "phone_number": number(n),
        "list_number": list_number,
        "custom_fields": {"first_name": f"Jane {n}", "plan": "gold" if n % 2 else "tin"},
    }
    if enrolls(n):
        made["use_journeys"] = True
    if n % 3 == 0:
        made |= {
            "signup_date": "2025-03-10T08:00:00Z",
            "ip_address": f"198.51.100.{n % 256}",
            "url": f"https://shop.example.com/join?page={n % 100}",
        }
    return made


def body(first: int, count: int = BATCH, list_number: str = LIST) -> bytes:
    """A request's body, of the contacts from `first` on."""
    return json.dumps({"contacts": [contact(first + n, list_number) for n in range(count)]}).encode()


def bodies(count: int, first: int = 0) -> list[bytes]:
    """Those of batches of 1,000, `count` contacts in all."""
    return [body(first + n, min(BATCH, count - n)) for n in range(0, count, BATCH)]


_KNOW = f"""
WITH made AS (
    INSERT INTO contacts_contact (
        phone_number, carrier, line_type, time_zone, can_receive, verified_at, created_at
    )
    SELECT {NUMBER_SQL}, '', 'UNKNOWN', 'America/Los_Angeles', true, now(), now()
    FROM generate_series(%(first)s::bigint, %(first)s::bigint + %(count)s - 1) AS n WHERE n %% 3 = 1
    RETURNING id
)
INSERT INTO contacts_listcontact (
    sending_list_id, contact_id, signup_date, signup_method, url, custom_fields, created_at, updated_at
)
SELECT %(list)s, id, now(), 'api', '', '{{}}', now(), now() FROM made
"""


def know(run: Running, account: Account, first: int, count: int, *, settled: bool = True) -> None:
    """Of these numbers, those that `is_known`: contacts, on another account's list."""
    run.connection.execute(_KNOW, {"first": first, "count": count, "list": account.list_id})
    if settled:
        run.settle_down()


# --- A client -----------------------------------------------------------------------------------------


_KEPT_ALIVE = 1.0
"""Seconds; below the web server's keep-alive."""


class Client:
    """One connection that is kept alive; little work, because it shares the machine with what it measures."""

    def __init__(self, port: int, account: Account) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"X-Api-Key": account.key, "Content-Type": "application/json"}
        self._used_at = time.monotonic()

    def post(self, path: str, content: bytes, *, prefer: str = "") -> tuple[int, bytes]:
        """The answer's status and body."""
        headers = {**self._headers, "Prefer": prefer} if prefer else self._headers
        return self._request("POST", path, content, headers)

    def get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._request("GET", path, None, self._headers)[1])
        return found

    def _request(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        if time.monotonic() - self._used_at > _KEPT_ALIVE:
            self._connection.close()  # connects anew
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        answer = response.read()
        self._used_at = time.monotonic()
        return response.status, answer

    def close(self) -> None:
        self._connection.close()


BULK = "/api/v2/contacts/bulk"
ASYNC = "respond-async"
_CONNECTIONS = 4


def send(
    port: int,
    account: Account,
    contents: Sequence[bytes],
    *,
    path: str = BULK,
    prefer: str = ASYNC,
    status: int = 202,
) -> list[float]:
    """Post all bodies, over four connections; the seconds that each answer took."""
    left, lock, seconds = iter(contents), threading.Lock(), []

    def work() -> None:
        client = Client(port, account)
        try:
            while True:
                with lock:
                    content = next(left, None)
                if content is None:
                    return
                began = time.perf_counter()
                found, answer = client.post(path, content, prefer=prefer)
                seconds.append(time.perf_counter() - began)
                assert found == status, answer[:2_000]
        finally:
            client.close()

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        for done in [pool.submit(work) for _ in range(_CONNECTIONS)]:
            done.result()
    return seconds


def ingest(run: Running, contents: Sequence[bytes]) -> float:
    """Ours: post the batches, wait for the last job; seconds from the first byte until it is completed."""
    before, began = run.ended(), time.perf_counter()
    send(run.port, run.account, contents)
    run.until_ended(before + len(contents))
    return time.perf_counter() - began


# --- Figures ------------------------------------------------------------------------------------------


def percentile(values: Iterable[float], percent: float) -> float:
    """By nearest rank: a value that was measured."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table: the first column on the left, the others on the right."""
    lines = [list(titles), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        first, *rest = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("   ".join([first, *rest]).rstrip())
    print(flush=True)
