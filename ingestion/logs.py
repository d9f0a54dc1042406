"""The lines that slices and jobs leave in the log when they end: `slice_done`, `job_ended` (docs/logs.md)."""

import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import structlog

logger = structlog.get_logger(__name__)
slices = structlog.get_logger(f"{__name__}.slices")
"""A logger of its own, because it writes much: the console leaves it out."""


class Stopwatch:
    """How long each stage of a slice took, in milliseconds."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.stages: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """A stage ends here, and the next one begins."""
        now = time.perf_counter()
        self.stages[stage] = round((now - self._last) * 1000, 1)
        self._last = now


def bind(*, job: Any, request_id: str) -> None:
    """Have all further lines of a worker's task bear these; trackly.celery clears them between tasks."""
    structlog.contextvars.bind_contextvars(job=str(job), request_id=request_id)


def slice_done(watch: Stopwatch, **fields: Any) -> None:
    """A slice has ended, and what it did is committed."""
    watch.lap("write_ms")
    slices.info("slice_done", **fields, **watch.stages)


def job_ended(
    job: dict[str, Any], summary: dict[str, Any], *, status: str, slice_count: int, now: datetime
) -> None:
    """A job has ended, and that is committed. `job`: its row."""
    accepted = job["created_at"]
    started = max(accepted, job["started_at"] or now)  # the statement that says it may have begun before
    logger.info(
        "job_ended",
        job=str(job["id"]),
        account=job["account_id"],
        kind=job["kind"],
        status=status,
        total=job["total"],
        success=summary["success_count"],
        error=summary["error_count"],
        errors_by_code=_by_code(summary["errors"]),
        slices=slice_count,
        seconds=_seconds(accepted, now),
        queue_seconds=_seconds(accepted, started),
        processing_seconds=_seconds(started, now),
        request_id=job["request_id"],
    )


def _by_code(errors: Iterable[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(entry["code"] for entry in errors))


def _seconds(begin: datetime, end: datetime) -> float:
    """Of two machines' clocks the second may be behind: never below 0."""
    return round(max(0.0, (end - begin).total_seconds()), 3)
