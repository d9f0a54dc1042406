"""Latency of an idle machine: one client, one request after the other.

`python -m tests.benchmarks.latency` prints milliseconds, from the request's first byte to the answer's last:

- 1,000 contacts with `respond-async`: the 202, by which they are durable. The next is sent once the job has
  ended.
- the seeds' batch (3 contacts, one of which fails; each time with new numbers), waiting for its summary.
- 1,000 contacts, two thirds of them new, a third enrolling, waiting.
- the machine's own part: a loop that takes 10 ms of a busy core, on one that has paused for 20 ms.

Nobody is greeted meanwhile: the machine is idle between the requests.
"""

import json
import time

from tests.benchmarks.common import (
    ASYNC,
    BATCH,
    BULK,
    LIST,
    Client,
    Running,
    body,
    heading,
    know,
    number,
    percentile,
    running,
    scaled,
    table,
)

ACCEPTED, SMALL, LARGE, WARM = 200, 400, 100, 10
"""Requests of each kind."""
PAUSES = 100


def seeds(n: int) -> bytes:
    """The seeds' batch with the numbers n and n + 1, and one that is none."""
    contacts = [
        {
            "phone_number": number(n),
            "list_number": LIST,
            "use_journeys": True,
            "custom_fields": {"first_name": "Jane"},
        },
        {"phone_number": number(n + 1), "list_number": LIST, "custom_fields": {"first_name": "John"}},
        {
            "phone_number": "+13105",
            "list_number": LIST,
            "signup_date": "2025-03-10T08:00:00Z",
            "ip_address": "198.51.100.17",
        },
    ]
    return json.dumps({"contacts": contacts}).encode()


def waiting(client: Client, content: bytes, successes: int) -> float:
    began = time.perf_counter()
    status, answer = client.post(BULK, content)
    seconds = time.perf_counter() - began
    assert status == 200, answer
    assert json.loads(answer)["success_count"] == successes, answer
    return seconds


def accepting(run: Running, client: Client, content: bytes) -> float:
    began = time.perf_counter()
    status, answer = client.post(BULK, content, prefer=ASYNC)
    seconds = time.perf_counter() - began
    assert status == 202, answer
    run.until(lambda: run.value("SELECT count(*) FROM bulk_bulkjob WHERE completed_at IS NULL") == 0)
    return seconds


def _spin(rounds: int) -> float:
    began, x = time.perf_counter(), 0
    for n in range(rounds):
        x += n
    return time.perf_counter() - began


def woken() -> list[float]:
    """How long 10 ms of work take on a core that was idle: a virtual machine's comes back when it can."""
    rounds = 100_000
    rounds = round(rounds * 0.010 / min(_spin(rounds) for _ in range(20)))
    seconds = []
    for _ in range(PAUSES):
        time.sleep(0.020)
        seconds.append(_spin(rounds))
    return seconds


def main() -> None:
    heading(__doc__)
    with running() as run:
        run.greet(meanwhile=False)
        accepted, small, large = (scaled(size, 5) for size in (ACCEPTED, SMALL, LARGE))
        other = run.new_account("Elsewhere", "+18005550000")
        first = (2 * scaled(WARM) + accepted + large) * BATCH
        know(run, other, 0, first)
        client, batches = Client(run.port, run.account), (body(n) for n in range(0, first, BATCH))
        for _ in range(scaled(WARM)):  # every process has begun to work
            accepting(run, client, next(batches))
            waiting(client, next(batches), BATCH)
        found = {
            f"accept {BATCH:,} contacts (202)": [
                accepting(run, client, next(batches)) for _ in range(accepted)
            ],
            "3 contacts, waiting": [waiting(client, seeds(first + 2 * n), 2) for n in range(small)],
            f"{BATCH:,} contacts, waiting": [waiting(client, next(batches), BATCH) for _ in range(large)],
            "(10 ms of work after a pause)": woken(),
        }
        client.close()
    table(
        ("milliseconds", "requests", "p50", "p95", "p99", "longest"),
        (
            (what, len(seconds), *(f"{1000 * percentile(seconds, p):.1f}" for p in (50, 95, 99, 100)))
            for what, seconds in found.items()
        ),
    )


if __name__ == "__main__":
    main()
