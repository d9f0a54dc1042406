"""Celery's result backend, for chords alone."""

from typing import Any

from celery.backends.redis import RedisBackend


class ChordBackend(RedisBackend):
    """Counts a chord's parts. Results are not awaited through it: ingestion.jobs.waiting has its own way.

    Celery's own subscribes to the result of each task that is sent, in each process that sends, and stays
    subscribed where the result is never fetched: memory that grows with every batch (celery #4824, #5000,
    #6089).
    """

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Do not subscribe."""

    def add_pending_result(self, result: Any, *_: Any, **__: Any) -> Any:
        """Do not subscribe."""
        return result

    def add_pending_results(self, results: Any, *_: Any, **__: Any) -> Any:
        """Do not subscribe."""
        return results
