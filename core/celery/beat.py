"""Celery's beat, which says that it goes on: without it nothing due is sent, and no lost work found."""

from typing import Any

from celery.beat import PersistentScheduler

from core.celery import heartbeats


class Scheduler(PersistentScheduler):
    """The scheduler of settings' CELERY_BEAT_SCHEDULER."""

    def tick(self, *arguments: Any, **more: Any) -> Any:
        """Send what is due; seconds until it is to be called again."""
        seconds = super().tick(*arguments, **more)
        heartbeats.beat_ticked()
        return seconds
