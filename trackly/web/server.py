"""gunicorn's configuration: `gunicorn -c python:trackly.web.server trackly.asgi`.

gunicorn keeps the processes: it loads the application once, forks, replaces what dies and ends them in order.
"""

import resource
from contextlib import suppress
from typing import Any

from core.memory import collect_less
from trackly import preload
from trackly.celery import app

worker_class = "trackly.web.worker.Worker"
preload_app = True  # a worker that replaces another is there at once
workers = 2
keepalive = 65  # seconds; longer than the usual load balancer's 60, which else reuses what is being closed
loglevel = "warning"
graceful_timeout = 35  # a request that waits for its result may do so for TRACKLY_MAX_WAIT
timeout = 60


def when_ready(server: Any) -> None:
    """The application is loaded; the workers, which share it, are not yet forked."""
    preload.for_requests(app)
    collect_less()
    raise_descriptor_limit()


def raise_descriptor_limit() -> None:
    """Allow as many sockets as the system lets this user have; the usual 1,024 are few for slow clients."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
