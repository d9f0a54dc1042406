"""gunicorn's configuration: `gunicorn -c python:trackly.gunicorn trackly.wsgi`."""

import uuid
from typing import Any

from gunicorn import util

from trackly import preload
from trackly.api import json
from trackly.celery import app
from trackly.memory import collect_less


def write_error(sock: Any, status_int: int, reason: str, mesg: str) -> None:  # noqa: ARG001 - gunicorn's
    """Answer what gunicorn itself refuses (no HTTP, a line or header that is too long) in the envelope."""
    code = "internal_error" if status_int == 500 else "invalid_request"  # noqa: PLR2004
    body = json.encode({"error": f"The request could not be handled: {reason}.", "code": code})
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Request-Id: {uuid.uuid4().hex}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin-1") + body)


# gunicorn has no setting for it: its own answers are pages, which a client of the API can't read.
util.write_error = write_error


def when_ready(server: Any) -> None:  # noqa: ARG001 - gunicorn's
    """The application is loaded; the workers, which share it, are not yet forked."""
    preload.for_requests(app)
    collect_less()


worker_class = "gthread"
preload_app = True  # a worker that replaces another is there at once
workers = 2
threads = 16
loglevel = "warning"
graceful_timeout = 35  # a request that waits for its result may do so for TRACKLY_MAX_WAIT
timeout = 60
