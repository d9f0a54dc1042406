"""`python -m tests.faults.storm --seconds N --seed N [--no-sweep]`: the storm, and what is left of it."""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from devstack.home import Home, free_port
from devstack.stack import Stack
from tests.client import LIST, Api
from tests.faults.storm.clients import Client, Numbers, SlowClients
from tests.faults.storm.faults import Faults
from tests.faults.storm.proxy import Proxy
from tests.faults.storm.reconcile import Reconciliation

CLIENTS = 4
_SETTINGS = {
    "TRACKLY_MESSAGES": "twilio",  # at the stub, which counts what it takes
    "TRACKLY_MESSAGE_TIMEOUT": "2",
    "TRACKLY_CONFIRM_AFTER": "36",
    "TRACKLY_QUIET_HOURS": "",
    "LOG_LEVEL": "WARNING",
}
_UNFINISHED = """
SELECT (SELECT count(*) FROM bulk_bulkjob WHERE completed_at IS NULL)
    + (SELECT count(*) FROM journeys_enrollment WHERE status = 'active')
    + (SELECT count(*) FROM journeys_outboundmessage WHERE status IN ('queued', 'sending', 'unconfirmed'))
"""


@contextmanager
def running(folder: Path, settings: str) -> Iterator[tuple[Stack, int, dict[str, Proxy], str]]:
    """The stack, whose parts see each other and are seen through proxies; web's port and the proxies."""
    with (folder / "log").open("w") as log:
        stack = Stack(Home(folder / "home"), output=log)
        stopping = threading.Event()
        watcher = threading.Thread(target=stack.supervisor.watch, args=(stopping,))
        proxies = dict[str, Proxy]()
        try:
            stack.start_servers()
            direct = dict(stack.environment)
            for name, variable in (("postgres", "DATABASE_URL"), ("redis", "REDIS_URL")):
                number = direct[variable].rsplit(":", 1)[1].split("/")[0]
                proxies[name] = Proxy(int(number))
                stack.environment[variable] = direct[variable].replace(
                    f":{number}/", f":{proxies[name].port}/"
                )
            stack.environment |= {**_SETTINGS, "DJANGO_SETTINGS_MODULE": settings}
            port = free_port()
            stack.start_product(port)
            proxies["web"] = Proxy(port)
            watcher.start()
            yield stack, port, proxies, direct["REDIS_URL"]
        finally:
            stopping.set()
            if watcher.ident:
                watcher.join()
            stack.stop()
            for proxy in proxies.values():
                proxy.stop()


def wait_until_quiet(rows: Any, patience: float) -> float:
    """Until nothing is unfinished, or nothing has moved for `patience` seconds; how long that took."""
    began = moved = time.monotonic()
    left, pause = -1, threading.Event()
    while (now := rows(_UNFINISHED)[0][0]) and time.monotonic() - moved < patience:
        if now != left:
            left, moved = now, time.monotonic()
        pause.wait(0.5)
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument(
        "--no-sweep", action="store_true", help="beat does not sweep: there must be differences"
    )
    parser.add_argument(
        "--keep", type=Path, help="a new folder, for the stack's state and log; default: a temporary one"
    )
    options = parser.parse_args()
    for variable in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(variable, None)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=folder == Path(temporary))
        return storm(folder, options.seconds, options.seed, sweeps=not options.no_sweep)


def storm(folder: Path, seconds: float, seed: int, *, sweeps: bool) -> int:
    """Run it, reconcile, print; 1 if there are differences."""
    settings = "trackly.settings" if sweeps else "tests.faults.unswept"
    with running(folder, settings) as (stack, port, proxies, redis_url):
        over, numbers = threading.Event(), Numbers()
        shared = [numbers.next() for _ in range(200)]
        clients = [
            Client(_account(stack, proxies["web"].port), seed + number, numbers, shared, over)
            for number in range(CLIENTS)
        ]
        faults = Faults(stack, redis_url, proxies, seed)
        slow = SlowClients(port, clients[0].api.headers["X-Api-Key"], seed, over)
        for thread in (*clients, slow, faults):
            thread.start()
        began = time.monotonic()
        try:
            over.wait(seconds)
        finally:  # also where it is interrupted
            faults.stop()
            over.set()
            for thread in (*clients, slow):
                thread.join()
        lasted = time.monotonic() - began

        def rows(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
            with psycopg.connect(_direct(stack), autocommit=True) as connection:
                return connection.execute(statement, parameters or None).fetchall()

        after = wait_until_quiet(rows, patience=400 if sweeps else 60)
        for client in clients:
            client.api.base_url = f"http://127.0.0.1:{port}/api/v2"
        reconciliation = Reconciliation(rows, _taken(stack))
        reconciliation.check(clients)
        mended = dict(rows("SELECT kind, sum(count) FROM bulk_incident GROUP BY kind"))
        answers = sum((client.told.answers for client in clients), Counter[str]())
    print(f"seed {seed}, {lasted:.0f} s, sweep {'on' if sweeps else 'off'}, {CLIENTS} clients")
    print(f"beside {slow.opened:,} connections that never ended what they began")
    for name, counted in (("faults", faults.made), ("answers", answers), ("counted", reconciliation.counted)):
        print(f"{name}: {sum(counted.values())}" if name != "counted" else name)
        for what, count in sorted(counted.items()):
            print(f"  {count:>8,}  {what}")
    print(f"incidents: { {kind: int(count) for kind, count in sorted(mended.items())} }")
    print(f"quiet {after:.1f} s after the storm")
    print(f"differences: {len(reconciliation.differences)}")
    for difference in reconciliation.differences[:40]:
        print(f"  {difference}")
    return int(bool(reconciliation.differences))


def _direct(stack: Stack) -> str:
    """PostgreSQL without the proxy."""
    password = stack.home.secret("postgres.password")
    port = (stack.home.path / "postgres.port").read_text()
    return f"postgresql://trackly:{password}@127.0.0.1:{port}/trackly"


def _account(stack: Stack, port: int) -> Api:
    """A client of a new account, at web's proxy."""
    options = ("--list", LIST, "--billing", "active", "--welcome-journey", "Welcome", "--json")
    return Api(f"http://127.0.0.1:{port}", json.loads(stack.manage("create_account", "Storm", *options)))


def _taken(stack: Stack) -> dict[str, int]:
    """How many messages to each number the gateway took."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{stack.environment['TRACKLY_SANDBOX_URL']}/control", timeout=60) as response:
        taken: dict[str, int] = json.load(response)["messages"]
    return taken


if __name__ == "__main__":
    sys.exit(main())
