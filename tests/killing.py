"""Processes that die at a chosen line: `python -m tests.killing JOB`, asked over standard input.

Each line read is a JSON object: `{"kill_at": n, "at_once": m, …}`. `m` children are forked, which all start
at the same moment; each runs JOB, and ends itself with SIGKILL before the n-th line that it executes of the
files under test (0: never). The answer is the list of their exit codes, as JSON.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from django.conf import settings  # noqa: E402 - the apps come first

from billing import invoices, payments  # noqa: E402
from ingestion.jobs import finalize, process  # noqa: E402
from ingestion.models import BulkSlice  # noqa: E402
from lookups import single_flight  # noqa: E402


def month_end(_: dict[str, Any]) -> None:
    invoices.close_due_months()
    invoices.collect_open()


def work(asked: dict[str, Any]) -> None:
    """Everything that is pending of a job, as if every lease had passed."""
    settings.TRACKLY_SLICE_LEASE, settings.TRACKLY_SLICE_ATTEMPTS, single_flight.LEASE_SECONDS = (
        -1,
        1_000,
        0.0,
    )
    while pending := list(
        BulkSlice.objects.filter(job=asked["job"], status="pending").values_list("pk", flat=True)
    ):
        for slice_id in pending:
            process.process(slice_id)
    finalize.finalize(asked["job"])


_OF_WORK = (
    "/jobs/process.py",
    "/jobs/claims.py",
    "/jobs/finalize.py",
    "/pipeline/report.py",
    "/billing/ledger.py",
    "/lookups/single_flight.py",
)
JOBS: dict[str, tuple[Callable[[dict[str, Any]], None], tuple[str, ...]]] = {
    "month_end": (month_end, ("/billing/invoices.py", "/billing/payments.py")),
    "work": (work, _OF_WORK),
}


def die_at(line: int, files: tuple[str, ...]) -> Any:
    """A trace function that kills the process before the `line`-th line it runs of `files`."""
    left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(files):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def run(job: str, asked: dict[str, Any]) -> list[int]:
    """Fork, start all at once, wait for them."""
    function, files = JOBS[job]
    ready, start = os.pipe()
    children = []
    for _ in range(asked.get("at_once", 1)):
        child = os.fork()
        if child == 0:
            os.close(start)
            os.read(ready, 1)
            if asked.get("kill_at"):
                sys.settrace(die_at(asked["kill_at"], files))
            code = 1
            try:
                function(asked)
                code = 0
            finally:
                sys.settrace(None)
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    os.close(ready)
    os.close(start)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


if __name__ == "__main__":
    stripe = payments.client().v1  # its library loads what it needs late; the children need not
    _ = stripe.customers, stripe.invoices, stripe.invoice_items
    for given in sys.stdin:
        print(json.dumps(run(sys.argv[1], json.loads(given))), flush=True)  # noqa: T201 - the answer
