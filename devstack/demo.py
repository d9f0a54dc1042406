"""`make demo`: the seeds' batch, over HTTP, in a stack of its own that leaves nothing behind."""

import json
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devstack.home import Home, free_port
from devstack.stack import LOOPBACK, Stack
from trackly.api.examples import EXAMPLES, is_as_documented

_PATIENCE_SECONDS = 60


def demo() -> int:
    """Start everything, send the batch, follow the job, compare the summary; the exit status."""
    for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "TRACKLY_HOME"):
        os.environ.pop(name, None)  # the demo is embedded, and its contacts must be new
    folder = Path(tempfile.mkdtemp(prefix="trackly-demo-"))
    log = (folder / "stack.log").open("w+")
    stack = Stack(Home(folder / "home"), output=log)
    port = free_port()
    try:
        say("Starting PostgreSQL and Redis …")
        stack.start_servers()
        say("Starting web, workers and beat …")
        stack.start_product(port)
        key = stack.create_demo_account()["api_key"]
        return _run(f"http://127.0.0.1:{port}", key)
    except BaseException:
        log.seek(0)
        print(log.read())
        raise
    finally:
        say("Stopping everything …")
        stack.stop()
        log.close()
        shutil.rmtree(folder)


def say(text: str) -> None:
    print(text, flush=True)


def _run(base: str, key: str) -> int:
    say("\nPOST /api/v2/contacts/bulk  (Prefer: respond-async)")
    say(json.dumps(EXAMPLES["bulk_request"], indent=2))
    _, accepted = _call(f"{base}/api/v2/contacts/bulk", key, EXAMPLES["bulk_request"])
    say(f"\n202 Accepted: {json.dumps(accepted)}\n")
    job = _follow(lambda: _call(f"{base}{accepted['status_url']}", key)[1])
    say("\nThe summary:")
    say(json.dumps(job["summary"], indent=2))
    if is_as_documented(job["summary"], EXAMPLES["bulk_response"]):
        say("\nIt is the documented one.")
        return 0
    say("\nIt is NOT the documented one, which is:")
    say(json.dumps(EXAMPLES["bulk_response"], indent=2))
    return 1


def _follow(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Poll the job until it ends, showing each change."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    shown = None
    while True:
        job = ask()
        line = f"GET {job['job_id']}: {job['status']}, {job['processed']} of {job['total']} processed"
        if line != shown:
            say(f"{line}  [{'#' * round(job['progress'] * 30):<30}] {job['progress']:.0%}")
            shown = line
        if job["status"] in {"completed", "failed", "cancelled"}:
            return job
        if time.monotonic() > deadline:
            raise TimeoutError(f"the job has not ended after {_PATIENCE_SECONDS} s")
        time.sleep(0.02)


def _call(url: str, key: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    headers = {"X-Api-Key": key, "Content-Type": "application/json", "Prefer": "respond-async"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)
    with LOOPBACK.open(request, timeout=30) as response:
        return response.status, json.load(response)
