"""Fairness: one account's 300 batches wait in the backlog, and another account's requests come.

`python -m tests.benchmarks.fair` prints how long the other account waited for its summary while the backlog
lasted, over three rounds: a client that sends one contact after the other, and one that sends 1,000, each
the next as soon as it has its answer. What took longer than the server lets a request wait (202) is polled
to its end and counts in full. Beside it the same on an idle machine, and what the backlog's account got.
"""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks.common import (
    BATCH,
    BULK,
    Account,
    Client,
    Running,
    bodies,
    body,
    heading,
    percentile,
    running,
    scaled,
    send,
    table,
)

ROUNDS, BACKLOG, IDLE = 3, 300, 20
OTHER_LIST = "+18005550000"
SIZES = (1, BATCH)


def completed(client: Client, content: bytes) -> float:
    """Seconds until the batch has its summary, however often that must be asked for."""
    began = time.perf_counter()
    status, answer = client.post(BULK, content)
    while status == 202:
        time.sleep(0.02)
        job = client.get(json.loads(answer)["status_url"])
        status = 200 if job["status"] == "completed" else 202
    assert status == 200, answer
    return time.perf_counter() - began


class Numbers:
    """Contacts that nobody has sent yet."""

    def __init__(self) -> None:
        self._lock, self._next = threading.Lock(), 0

    def take(self, count: int) -> int:
        with self._lock:
            self._next += count
            return self._next - count


def ask(
    run: Running, other: Account, size: int, numbers: Numbers, goes_on: Callable[[], bool]
) -> list[float]:
    """Send batch after batch; the seconds that each took."""
    client, seconds = Client(run.port, other), []
    try:
        while goes_on():
            seconds.append(completed(client, body(numbers.take(size), size, OTHER_LIST)))
    finally:
        client.close()
    return seconds


def under_load(
    run: Running, other: Account, numbers: Numbers, backlog: int, found: dict[int, list[float]]
) -> float:
    """A round; the backlog's account's contacts per second."""
    before = run.ended()
    contents = bodies(backlog * BATCH, numbers.take(backlog * BATCH))
    began = time.perf_counter()
    send(run.port, run.account, contents)
    over = threading.Event()
    with ThreadPoolExecutor(len(SIZES)) as pool:
        asking = {
            size: pool.submit(ask, run, other, size, numbers, lambda: not over.is_set()) for size in SIZES
        }
        try:
            run.until_ended(before + backlog)
            seconds = time.perf_counter() - began
        finally:
            over.set()
    for size, waits in asking.items():
        found[size] += waits.result()
    return backlog * BATCH / seconds


def main() -> None:
    heading(__doc__)
    backlog, numbers = scaled(BACKLOG, 4), Numbers()
    with running() as run:
        other = run.new_account("Other", OTHER_LIST)
        run.greet(meanwhile=False)
        idle, loaded = ({size: list[float]() for size in SIZES} for _ in range(2))
        for size in SIZES:
            left = iter(range(scaled(IDLE, 3)))
            idle[size] = ask(run, other, size, numbers, lambda left=left: next(left, None) is not None)  # type: ignore[misc]
        speeds = []
        for _ in range(ROUNDS):
            run.settle_down()
            speeds.append(under_load(run, other, numbers, backlog, loaded))
    table(
        ("seconds until the summary", "requests", "p50", "p95", "longest"),
        (
            (
                f"{size:,} contacts, {when}",
                len(waits),
                *(f"{percentile(waits, p):.3f}" for p in (50, 95, 100)),
            )
            for size in SIZES
            for when, waits in (("idle", idle[size]), (f"{backlog} batches before it", loaded[size]))
        ),
    )
    print(f"The backlog's account meanwhile: {', '.join(f'{speed:,.0f}' for speed in speeds)} contacts/s")


if __name__ == "__main__":
    main()
