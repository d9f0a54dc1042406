"""The Celery app: `celery -A trackly worker`. Its settings are the CELERY_ ones of trackly.settings."""

import os
from typing import Any

import structlog
from celery import Celery, signals
from django.db import close_old_connections

from core.celery import broker, heartbeats
from core.memory import collect_less
from trackly import preload

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trackly.settings")
broker.use()

app = Celery("trackly")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["consumer"].add(heartbeats.Heartbeat)


@signals.worker_init.connect
def _before_forks(**_: Any) -> None:
    """The pool's processes, which are forked next, share what stays."""
    preload.for_tasks()
    collect_less()


@signals.task_prerun.connect
@signals.task_postrun.connect
def _hand_back(task: Any, **_: Any) -> None:
    """Hand the task's connections back to the pool, as Django does with those of a request; forget its ids.

    Celery's own fixup closes the pool before and after each task (https://github.com/celery/celery/issues/10554),
    and to connect anew costs as much as a slice of a hundred contacts; settings turn that off.
    """
    if not task.request.is_eager:
        close_old_connections()
        structlog.contextvars.clear_contextvars()  # the next task's lines are of another job


@signals.setup_logging.connect
def _leave_logging_alone(**_: Any) -> None:
    """Celery would set its own level and format: LOG_LEVEL and LOG_FORMAT hold in workers, too."""
