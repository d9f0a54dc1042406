"""Brokers: the same batches with Redis and with RabbitMQ between the web server and the workers.

`python -m tests.benchmarks.brokers` prints contacts per second, medians of three rounds in which two stacks
take turns, each on empty tables: `POST /contacts/bulk` of 1,000 with `respond-async`, from the first byte
until the last job is completed; as one slice a batch (one message), and as twenty (a chord). Beside it the
CPU seconds per 1,000 contacts of the broker: of Redis, which counts chords and wakes waiters in both, and of
RabbitMQ. The journeys' workers rest. RabbitMQ is Debian's `rabbitmq-server`; without it nothing is measured.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import psutil

from tests.benchmarks.common import (
    BATCH,
    Running,
    bodies,
    cpu_seconds,
    heading,
    ingest,
    know,
    running,
    scaled,
    table,
)
from tests.rabbitmq import RabbitMQ, find_server

ROUNDS, BATCHES = 3, {1: 60, 20: 30}
"""Slices of a batch, and how many batches."""
REDIS, RABBITMQ = "Redis", "RabbitMQ"


@contextmanager
def started() -> Iterator[RabbitMQ]:
    with tempfile.TemporaryDirectory(prefix="trackly-rabbitmq-") as folder, ExitStack() as stack:
        output = stack.enter_context((Path(folder) / "output").open("w"))
        rabbit = RabbitMQ(Path(folder) / "node", output)
        stack.callback(rabbit.stop)
        rabbit.start()
        yield rabbit


def used(run: Running, rabbit: RabbitMQ | None) -> float:
    """CPU seconds that the stack's brokers have used so far."""
    seconds = cpu_seconds(run.stack)["redis"]
    if rabbit is not None:
        node = psutil.Process(rabbit.pid)
        times = [process.cpu_times() for process in (node, *node.children(recursive=True))]
        seconds += sum(spent.user + spent.system for spent in times)
    return seconds


def measure(slices: int, batches: int) -> dict[str, list[tuple[float, float]]]:
    """Of each broker's rounds: contacts per second, and the brokers' CPU seconds per 1,000 contacts."""
    size, contents = str(BATCH // slices), bodies(batches * BATCH)
    with (
        started() as rabbit,
        running(TRACKLY_SLICE_SIZE=size) as redis_run,
        running(TRACKLY_SLICE_SIZE=size, CELERY_BROKER_URL=rabbit.url) as rabbit_run,
    ):
        stacks = {REDIS: (redis_run, None), RABBITMQ: (rabbit_run, rabbit)}
        others = {}
        for name, (run, _) in stacks.items():
            others[name] = run.new_account("Elsewhere", "+18005550000")
            run.greet(meanwhile=False)
            ingest(run, bodies(4 * BATCH, batches * BATCH))  # every process has begun to work
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in stacks}
        for _ in range(ROUNDS):
            for name, (run, server) in stacks.items():
                run.empty()
                know(run, others[name], 0, batches * BATCH)
                before = used(run, server)
                speed = batches * BATCH / ingest(run, contents)
                found[name].append((speed, (used(run, server) - before) / batches))
    return found


def main() -> None:
    heading(__doc__)
    if find_server() is None:
        print("rabbitmq-server is not on the PATH: nothing was measured.")
        return
    for slices, batches in BATCHES.items():
        show(slices, measure(slices, scaled(batches, 2)))


def show(slices: int, found: dict[str, list[tuple[float, float]]]) -> None:
    """Ratios are of the same round, and of them the median."""
    rows = []
    for name, rounds in found.items():
        speeds = [speed for speed, _ in rounds]
        ratio = median(ours / redis for (ours, _), (redis, _) in zip(rounds, found[REDIS], strict=True))
        figures = (f"{figure:,.0f}" for figure in (median(speeds), min(speeds), max(speeds)))
        rows.append((name, slices, *figures, f"{ratio:.2f}", f"{median(cpu for _, cpu in rounds):.4f}"))
    table(("broker", "slices", "contacts/s", "lowest", "highest", "x Redis", "broker, s"), rows)


if __name__ == "__main__":
    main()
