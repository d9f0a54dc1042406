"""`slice_done` and `job_ended`: what workers write of their work (docs/logs.md)."""

import os
import subprocess
import sys
from typing import Any

import pytest
import structlog
from django.conf import settings as project
from django.utils import timezone
from structlog.testing import capture_logs

from devstack.sandbox.server import Stub
from ingestion import logs
from ingestion.jobs import control
from ingestion.jobs import process as processing
from ingestion.models import BulkJob
from tests.support import accept_batch, contact, new_account, new_numbers
from trackly import celery

pytestmark = pytest.mark.django_db
STAGES = {"check_ms", "look_up_ms", "write_ms"}


def lines_of(run: Any, capture_on_commit: Any) -> list[dict[str, Any]]:
    """The lines of slices and jobs that `run` leaves once it is committed."""
    merge = structlog.contextvars.merge_contextvars
    with capture_logs(processors=[merge]) as found, capture_on_commit(execute=True):
        run()
    structlog.contextvars.clear_contextvars()
    return [dict(line) for line in found if line["event"] in {"slice_done", "job_ended"}]


def accepted(*contacts: Any) -> tuple[BulkJob, list[int]]:
    """A job, accepted while a request was answered."""
    account, _ = new_account()
    with structlog.contextvars.bound_contextvars(request_id="of the request"):
        return accept_batch(account, *contacts)


def test_a_slice_and_its_job_leave_a_line_each(django_capture_on_commit_callbacks: Any) -> None:
    job, [slice_id] = accepted(contact(), contact("x"), contact("y"), {"phone_number": new_numbers(1)[0]})
    ended, done = sorted(
        lines_of(lambda: processing.process(slice_id), django_capture_on_commit_callbacks),
        key=lambda line: str(line["event"]),
    )
    assert {name: done.pop(name) >= 0 for name in STAGES & done.keys()} == {
        "check_ms": True,
        "write_ms": True,
    }
    assert done == {
        "event": "slice_done",
        "log_level": "info",
        "request_id": "of the request",
        "job": str(job.pk),
        "slice": slice_id,
        "lane": "ingest",
        "status": "done",
        "size": 4,
        "success": 1,
        "error": 3,
        "put_off": 0,
        "attempts": 0,
    }
    seconds = [ended.pop(f"{name}seconds") for name in ("", "queue_", "processing_")]
    assert seconds[0] == pytest.approx(seconds[1] + seconds[2], abs=0.002)
    assert min(seconds) >= 0
    assert ended == {
        "event": "job_ended",
        "log_level": "info",
        "request_id": "of the request",
        "job": str(job.pk),
        "account": job.account_id,
        "kind": "contacts.bulk",
        "status": "completed",
        "total": 4,
        "success": 1,
        "error": 3,
        "errors_by_code": {"invalid_phone": 2, "missing_list_number": 1},
        "slices": 1,
    }


def test_a_slice_of_the_live_lane_says_how_long_look_ups_took(
    stub: Stub, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.TRACKLY_CARRIER = ["twilio"]
    _, [slice_id] = accepted(contact("+12025550101"))
    made: list[int] = []
    [first] = lines_of(
        lambda: made.extend(processing.process(slice_id).made),
        django_capture_on_commit_callbacks,
    )
    assert (first["size"], first["put_off"]) == (0, 1)
    [live_id] = made
    lines = lines_of(lambda: processing.process(live_id), django_capture_on_commit_callbacks)
    [done] = [line for line in lines if line["event"] == "slice_done"]
    assert (done["lane"], done["size"]) == ("live", 1)
    assert set(done) >= STAGES
    assert done["look_up_ms"] > 0
    assert stub.log.outcomes


def test_what_is_rolled_back_leaves_no_line(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    _, [slice_id] = accepted(contact())

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no rows today")

    def run_and_fail() -> None:
        with pytest.raises(RuntimeError, match="no rows today"):
            processing.process(slice_id)

    with monkeypatch.context() as patch:
        patch.setattr(processing, "_try_finalize", fail)
        assert lines_of(run_and_fail, django_capture_on_commit_callbacks) == []
    done, ended = lines_of(lambda: processing.process(slice_id), django_capture_on_commit_callbacks)
    assert (done["event"], done["attempts"], ended["event"]) == ("slice_done", 1, "job_ended")


def test_a_cancelled_job_leaves_its_line(django_capture_on_commit_callbacks: Any) -> None:
    job, _ = accepted(contact(), contact())
    [ended] = lines_of(lambda: control.cancel(job.pk), django_capture_on_commit_callbacks)
    assert (ended["event"], ended["status"], ended["total"], ended["success"]) == (
        "job_ended",
        "cancelled",
        2,
        0,
    )
    assert ended["processing_seconds"] == 0


def test_other_lines_of_a_slice_s_task_bear_its_ids_and_the_next_task_does_not() -> None:
    job, [slice_id] = accepted(contact())
    processing.process(slice_id)
    bound = structlog.contextvars.get_contextvars()
    assert bound == {"job": str(job.pk), "request_id": "of the request"}

    class Task:
        class request:  # noqa: N801 - as Celery calls it
            is_eager = False

    celery._hand_back(Task)
    assert structlog.contextvars.get_contextvars() == {}


def test_clocks_that_differ_make_no_negative_times() -> None:
    now = timezone.now()
    job = {"id": 1, "account_id": 1, "kind": "", "total": 0, "request_id": ""}
    late = {**job, "created_at": now, "started_at": now}
    earlier = now.replace(year=now.year - 1)
    with capture_logs() as found:
        logs.job_ended(
            late, {"success_count": 0, "error_count": 0, "errors": []}, status="", slice_count=0, now=earlier
        )
    assert (found[0]["seconds"], found[0]["processing_seconds"]) == (0, 0)


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({"LOG_FORMAT": "json"}, {"job_ended", "slice_done"}),
        ({"LOG_FORMAT": "console"}, {"job_ended"}),
        ({"LOG_FORMAT": "console", "LOG_LEVEL": "DEBUG"}, {"job_ended", "slice_done"}),
    ],
)
def test_the_console_leaves_slices_out(variables: dict[str, str], shown: set[str]) -> None:
    program = (
        "import django; django.setup(); from ingestion import logs;"
        "logs.slice_done(logs.Stopwatch(), slice=1); logs.logger.info('job_ended', job='+14155550123')"
    )
    environment = {
        **os.environ,
        "LOG_LEVEL": "INFO",
        "DJANGO_SETTINGS_MODULE": "trackly.settings",
        **variables,
    }
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert {event for event in ("job_ended", "slice_done") if event in said} == shown
    assert "+1415…" in said
    assert "4155550123" not in said
