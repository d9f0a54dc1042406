"""Scaling: 1, 2 and 4 worker processes, each pinned to a core, and what each component costs.

`python -m tests.benchmarks.scaling` prints contacts per second with so many processes that ingest (the nth is
pinned to core n modulo their number; all else may run anywhere), and the CPU seconds per 1,000 contacts of
the client, the web server, the workers, PostgreSQL and Redis: of their processes, before and after. Medians
of three rounds, each on empty tables; a stack of its own for each number of processes. The journeys'
workers rest.
"""

from statistics import median

import psutil

from tests.benchmarks.common import (
    BATCH,
    Running,
    bodies,
    children,
    cpu_seconds,
    heading,
    ingest,
    know,
    running,
    scaled,
    table,
)

WORKERS, BATCHES, ROUNDS = (1, 2, 4), 60, 3
COMPONENTS = {
    "client": ("client",),
    "web": ("web",),
    "worker": ("worker",),
    "PostgreSQL": ("postgres",),
    "Redis": ("redis",),
    "others": ("journeys", "live", "beat", "sandbox"),
}


def pin(run: Running) -> None:
    """Each worker process to a core."""
    cores = psutil.Process().cpu_affinity() or [0]
    for place, process in enumerate(children(run.stack, "worker")):
        process.cpu_affinity([cores[place % len(cores)]])


def measure(workers: int, batches: int) -> tuple[float, dict[str, float]]:
    """Contacts per second, and CPU seconds per 1,000 contacts of each component."""
    contents, speeds = bodies(batches * BATCH), []
    used: dict[str, list[float]] = {name: [] for name in COMPONENTS}
    with running(workers=workers) as run:
        other = run.new_account("Elsewhere", "+18005550000")
        run.greet(meanwhile=False)
        ingest(run, bodies(4 * BATCH, batches * BATCH))  # every process has begun to work
        pin(run)
        for _ in range(ROUNDS):
            run.empty()
            know(run, other, 0, batches * BATCH)
            before = cpu_seconds(run.stack)
            speeds.append(batches * BATCH / ingest(run, contents))
            after = cpu_seconds(run.stack)
            for name, parts in COMPONENTS.items():
                used[name].append(sum(after[part] - before[part] for part in parts) / batches)
    return median(speeds), {name: median(seconds) for name, seconds in used.items()}


def main() -> None:
    heading(__doc__)
    found = {workers: measure(workers, scaled(BATCHES, 2)) for workers in WORKERS}
    alone = found[WORKERS[0]][0]
    table(
        ("workers", "contacts/s", "x 1 worker", *(f"{name}, s" for name in COMPONENTS), "all, s"),
        (
            (
                workers,
                f"{speed:,.0f}",
                f"{speed / alone:.2f}",
                *(f"{seconds:.4f}" for seconds in used.values()),
                f"{sum(used.values()):.4f}",
            )
            for workers, (speed, used) in found.items()
        ),
    )


if __name__ == "__main__":
    main()
