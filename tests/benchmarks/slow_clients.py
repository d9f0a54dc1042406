"""Slow clients: what others wait while 1,500 connections never end what they began.

`python -m tests.benchmarks.slow_clients` holds 500 connections that never end their head, 500 that never end
their body and 500 that never read their answers, opens each anew as soon as it is closed, and prints the
milliseconds that others wait meanwhile, for 120 seconds: for `/healthz`, on a new connection each time, and
for the summary of 1,000 new contacts. Beside it the same without them. Once for the web server as `make up`
starts it, on the supervisor's socket, and once by the Dockerfile's command, as in docker-compose.yml.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from devstack.home import free_port
from devstack.stack import ROOT, answers
from devstack.supervisor import end_group
from tests import slow
from tests.benchmarks.common import (
    BATCH,
    BULK,
    Account,
    Client,
    Running,
    body,
    heading,
    percentile,
    running,
    scaled,
    table,
)

OF_EACH_KIND, SECONDS, IDLE_SECONDS = 500, 120, 20
_LOOK_EVERY = 0.2


class Crowd(threading.Thread):
    """Connections of all kinds, until `end()`."""

    def __init__(self, port: int, account: Account, of_each: int) -> None:
        super().__init__()
        self._texts = slow.texts(account.key)
        self._port, self._of_each = port, of_each
        self._over = threading.Event()
        self.complete = threading.Event()
        """All are connected."""
        self.opened = 0

    def run(self) -> None:
        held: list[tuple[str, socket.socket]] = []
        wanted = [kind for kind in self._texts for _ in range(self._of_each)]
        while not self._over.is_set():
            for kind in wanted:
                with suppress(OSError):
                    held.append((kind, self._open(kind)))
                    self.opened += 1
            self.complete.set()
            self._over.wait(_LOOK_EVERY)
            wanted = [kind for kind, connection in held if _is_closed(kind, connection)]
            held = [(kind, connection) for kind, connection in held if connection.fileno() >= 0]
        for _, connection in held:
            connection.close()

    def _open(self, kind: str) -> socket.socket:
        made = slow.connect(self._port, self._texts[kind], patience=5)
        made.settimeout(0)
        return made

    def end(self) -> None:
        self._over.set()
        self.join()


def _is_closed(kind: str, connection: socket.socket) -> bool:
    """Whether the server has closed it; then it is closed here, too. Who never reads does not look."""
    if kind == "never read":
        return False
    try:
        ended = not connection.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        ended = True
    if ended:
        connection.close()
    return ended


def health(port: int) -> float:
    began = time.perf_counter()
    assert answers(f"http://127.0.0.1:{port}/healthz")
    return time.perf_counter() - began


@contextmanager
def measured(port: int, account: Account, first: int) -> Iterator[Callable[[float], dict[str, list[float]]]]:
    """Gives a function that measures for so many seconds, each time with new numbers."""
    client, n = Client(port, account), first

    def measure(seconds: float) -> dict[str, list[float]]:
        nonlocal n
        found: dict[str, list[float]] = {"/healthz": [], f"{BATCH:,} contacts, waiting": []}
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found["/healthz"].append(health(port))
            began = time.perf_counter()
            status, answer = client.post(BULK, body(n))
            found[f"{BATCH:,} contacts, waiting"].append(time.perf_counter() - began)
            assert (status, json.loads(answer)["success_count"]) == (200, BATCH), answer[:2_000]
            n += BATCH
        return found

    try:
        yield measure
    finally:
        client.close()


@contextmanager
def by_the_dockerfile(run: Running) -> Iterator[int]:
    """The web server, started by the Dockerfile's CMD; its port."""
    [line] = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("CMD ")]
    command: list[str] = json.loads(line.removeprefix("CMD "))
    port = free_port()
    command = [part.replace("0.0.0.0:8000", f"127.0.0.1:{port}") for part in command]
    print(f"$ {shlex.join(command)}")
    started = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, **run.stack.environment},
        start_new_session=True,
    )
    try:
        run.until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), seconds=60, every=0.2)
        yield port
    finally:
        started.terminate()
        started.wait(60)
        end_group(started.pid, signal.SIGKILL)


def rows(name: str, port: int, account: Account, first: int) -> list[tuple[object, ...]]:
    made = []
    of_each, seconds = scaled(OF_EACH_KIND, 20), float(scaled(SECONDS, 5))
    with measured(port, account, first) as measure:
        measure(2.0)
        alone = measure(float(scaled(IDLE_SECONDS, 3)))
        crowd = Crowd(port, account, of_each)
        crowd.start()
        crowd.complete.wait()
        try:
            beside = measure(seconds)
        finally:
            crowd.end()
    for when, found in (("alone", alone), (f"beside {3 * of_each:,} ({crowd.opened:,} opened)", beside)):
        for what, waits in found.items():
            figures = (f"{1000 * percentile(waits, p):.1f}" for p in (50, 95, 99, 100))
            made.append((f"{name}: {what}, {when}", len(waits), *figures))
    return made


def main() -> None:
    heading(__doc__)
    with running() as run:
        run.greet(meanwhile=False)
        found = rows("make up", run.port, run.account, 0)
        with by_the_dockerfile(run) as port:
            found += rows("Dockerfile", port, run.account, 2_000_000)
    table(("milliseconds", "requests", "p50", "p95", "p99", "longest"), found)


if __name__ == "__main__":
    main()
