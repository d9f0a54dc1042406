"""Workers whose machine's clock is wrong, by libfaketime (Debian: `apt-get install faketime`)."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from devstack.stack import Stack
from devstack.supervisor import Service
from tests.conftest import Launch, RunningStack
from tests.support import contact, eventually

SHIFTED = Path(__file__).parent / "shifted"


@pytest.fixture(scope="session")
def library() -> str:
    found = list(Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1"))
    if not found:
        if os.environ.get("CI"):
            pytest.fail("no libfaketime: .ci/run installs Debian's")
        pytest.skip("no libfaketime")
    return str(found[0])


@pytest.fixture(scope="module", params=[-600, -10, 10, 600], ids="{:+d}s".format)
def seconds(request: pytest.FixtureRequest) -> int:
    """By how much the workers' clocks are ahead of everybody else's."""
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def stack(seconds: int, launch: Launch, library: str) -> Iterator[RunningStack]:
    shifted = {
        "LD_PRELOAD": library,
        "FAKETIME": f"{seconds:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(SHIFTED),
    }
    original = Stack._worker

    def worker(self: Stack, *arguments: Any) -> Service:
        made = original(self, *arguments)
        return replace(made, environment={**made.environment, **shifted})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stack, "_worker", worker)
        with launch("clocks", TRACKLY_QUIET_HOURS="", LOG_FORMAT="json", LOG_LEVEL="INFO") as running:
            yield running


def _last_run(stack: RunningStack, work: str) -> Any:
    rows = stack.rows("SELECT ended_at FROM leases_lease WHERE name = %s AND ended_at IS NOT NULL", work)
    return rows[0][0] if rows else None


@pytest.mark.parametrize("work", ["sweep", "journeys tick"])
def test_periodic_work_runs_again_and_again(stack: RunningStack, work: str) -> None:
    before = eventually(lambda: _last_run(stack, work))
    for _ in range(2):
        seen = before
        before = eventually(lambda: _last_run(stack, work), lambda at: at > seen)  # noqa: B023 - called here


def test_batches_are_processed_and_messages_sent(stack: RunningStack) -> None:
    api = stack.account("--welcome-journey", "Welcome")
    summary = api.summary(*(contact(use_journeys=True) for _ in range(20)))
    assert (summary["success_count"], summary["journeys_enrolled"]) == (20, 20)
    sent = "SELECT count(*) FROM journeys_outboundmessage WHERE status = 'sent'"
    eventually(lambda: stack.count(sent), lambda count: count == 20)


def test_times_of_a_job_are_the_database_s(stack: RunningStack, seconds: int) -> None:
    api = stack.account()
    [[before]] = stack.rows("SELECT now()")
    job = api.ended_job(api.bulk(contact(), prefer="respond-async"))
    [[after]] = stack.rows("SELECT now()")
    moments = [datetime.fromisoformat(job[name]) for name in ("created_at", "started_at", "completed_at")]
    assert [before, *moments, after] == sorted([before, *moments, after])
    # And the worker's clock was wrong: by its log.
    [line] = eventually(lambda: [line for line in _log(stack) if line.get("job") == job["job_id"]][-1:])
    ahead = datetime.fromisoformat(line["timestamp"]) - after
    assert (line["event"], round(ahead.total_seconds() / seconds)) == ("job_ended", 1)


def _log(stack: RunningStack) -> list[dict[str, Any]]:
    lines = (line.partition("| ")[2] for line in stack.log.read_text().splitlines() if "job_ended" in line)
    return [json.loads(line) for line in lines]
