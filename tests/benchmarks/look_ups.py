"""Live look-ups: which pool carries hundreds of them, and what the product makes of it.

`python -m tests.benchmarks.look_ups` prints two tables, each from one run:

1. The same 1,000 questions to the stub, 200 ms each, by the kinds of pool that a Celery worker may have; each
   in a process of its own, nothing but the questions. "One by one" asks 25 and is multiplied.
2. The product, one look-up process: a batch of 1,000 new numbers, from POST to the summary; the same with a
   dead provider, from the breaker's opening.
"""

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

QUESTIONS, SECONDS, AT_ONCE = 1_000, 0.2, 256


def _urls(base: str, count: int = QUESTIONS) -> list[str]:
    return [f"{base}/v2/PhoneNumbers/+1415{2_000_000 + number}" for number in range(count)]


def by_asyncio(base: str) -> None:
    import aiohttp  # noqa: PLC0415 - each pool loads what it needs, and no more

    async def run() -> None:
        turn = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask(url: str) -> None:
                async with turn, session.get(url) as response:
                    await response.read()

            await asyncio.gather(*map(ask, _urls(base)))

    asyncio.run(run())


def by_threads(base: str) -> None:
    import urllib3  # noqa: PLC0415

    pool = urllib3.PoolManager(maxsize=AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda url: pool.request("GET", url).data, _urls(base)))


def by_gevent(base: str) -> None:
    from gevent import monkey  # noqa: PLC0415

    monkey.patch_all()
    import urllib3  # noqa: PLC0415
    from gevent.pool import Pool  # noqa: PLC0415

    pool = urllib3.PoolManager(maxsize=AT_ONCE)
    list(Pool(AT_ONCE).imap(lambda url: pool.request("GET", url).data, _urls(base)))


def one_by_one(base: str) -> None:
    import urllib3  # noqa: PLC0415

    pool = urllib3.PoolManager()
    for url in _urls(base, 25):
        pool.request("GET", url)


POOLS: dict[str, Callable[[str], None]] = {
    "asyncio, aiohttp": by_asyncio,
    "gevent, urllib3": by_gevent,
    "threads, urllib3": by_threads,
    "one by one": one_by_one,
}


def measure_pool(name: str, base: str) -> None:
    """In a process of its own: seconds, CPU seconds and peak memory of a pool, as JSON."""
    began = time.perf_counter()
    POOLS[name](base)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "seconds": seconds * (QUESTIONS / 25 if name == "one by one" else 1),
        "cpu": (used.ru_utime + used.ru_stime) * (QUESTIONS / 25 if name == "one by one" else 1),
        "mib": int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024,
    }
    print(json.dumps(found))


def compare_pools(base: str) -> None:
    print(f"{QUESTIONS:,} questions of {SECONDS * 1000:.0f} ms, {AT_ONCE} at once\n")
    print(f"{'pool':<20}{'seconds':>9}{'CPU s':>8}{'MiB':>6}")
    for name in POOLS:
        command = [sys.executable, "-m", "tests.benchmarks.look_ups", name, base]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        print(f"{name:<20}{found['seconds']:>9.2f}{found['cpu']:>8.2f}{found['mib']:>6.0f}")


def measure_product(folder: Path) -> None:
    """A batch of new numbers, to a provider that answers after 200 ms, and to one that is dead."""
    import httpx  # noqa: PLC0415

    from devstack.home import Home, free_port  # noqa: PLC0415
    from devstack.stack import Stack  # noqa: PLC0415

    os.environ["NO_PROXY"] = "127.0.0.1"
    log = folder / "log"
    with log.open("w") as output:
        stack = Stack(Home(folder / "home"), output=output)
        try:
            stack.start_servers()
            stub = stack.environment["TRACKLY_SANDBOX_URL"]
            stack.environment |= {
                "TRACKLY_SANDBOX": "0",
                "TRACKLY_HTTPS": "0",
                "TRACKLY_CARRIER": "twilio",
                "TWILIO_ACCOUNT_SID": "AC0",
                "TWILIO_AUTH_TOKEN": "0",
                "TWILIO_LOOKUPS_URL": stub,
                "TRACKLY_MAX_WAIT": "60",
                "LOG_FORMAT": "json",
            }
            port = free_port()
            stack.start_product(port)
            key = stack.create_demo_account()["api_key"]
            api = httpx.Client(
                base_url=f"http://127.0.0.1:{port}/api/v2", headers={"X-Api-Key": key}, timeout=90
            )
            compare_pools_first(stub)
            _measure(api, stub, log)
        finally:
            stack.stop()


def compare_pools_first(stub: str) -> None:
    """With the product idle beside it."""
    _tell(stub, delay=SECONDS)
    compare_pools(stub)


def _tell(stub: str, **faults: Any) -> None:
    import httpx  # noqa: PLC0415

    httpx.put(f"{stub}/control", json=faults, trust_env=False).raise_for_status()


def _measure(api: Any, stub: str, log: Path) -> None:
    print("\nthe product, one look-up process (8 threads, slices of 25): 1,000 new numbers, waiting\n")
    first = 3_000_000
    for number in range(5):
        _tell(stub, delay=SECONDS)
        seconds, summary = _send(api, first + number * QUESTIONS)
        print(f"  200 ms each: {seconds:.2f} s, {summary['success_count']:,} accepted")
    _tell(stub, dead=True)
    began = time.perf_counter()
    seconds, summary = _send(api, first + 9 * QUESTIONS)
    ended = datetime.now(UTC)
    [opened] = re.findall(r'"circuit_opened".*?"timestamp": "([^"]+)"', log.read_text())[:1]
    after = (ended - datetime.fromisoformat(opened)).total_seconds()
    print(f"  dead: {time.perf_counter() - began:.2f} s, {after:.2f} s after the breaker's opening,", end=" ")
    print(f"{summary['success_count']:,} accepted")


def _send(api: Any, first: int) -> tuple[float, dict[str, Any]]:
    contacts = [
        {"phone_number": f"+1415{first + n}", "list_number": "+18005551234"} for n in range(QUESTIONS)
    ]
    began = time.perf_counter()
    response = api.post("/contacts/bulk", json={"contacts": contacts})
    assert response.status_code == 200, response.text
    return time.perf_counter() - began, response.json()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure_pool(sys.argv[1], sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure_product(Path(folder))
