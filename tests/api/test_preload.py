"""What the web server and a worker load before they fork, so that no child does it at its first request."""

import os
import subprocess
import sys

from django.conf import settings

_WEB = """
import sys
from trackly.web import server
from trackly.wsgi import application
server.when_ready(None)
before = set(sys.modules)
from trackly.api import docs
assert docs.document.cache_info().currsize == 1
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/healthz", "HTTP_HOST": "localhost"}
environ |= {"SERVER_NAME": "localhost", "SERVER_PORT": "80"}
application(environ | {"wsgi.url_scheme": "http", "wsgi.input": sys.stdin.buffer}, lambda *_: None)
import celery.backends.redis, kombu.transport.redis, psycopg_pool
import trackly.api.bulk, trackly.api.contacts
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("django.")))
"""

_TOGETHER = """
import threading
import django
django.setup()
from trackly.api import docs
begin, made = threading.Barrier(8), []
def ask():
    begin.wait()
    made.append(docs.encoded())
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(made), len(set(made)))
"""

_WORKER = """
import django
django.setup()
from celery import signals
from contacts import phone
signals.worker_init.send(None)
made = phone._plan.cache_info().misses
assert phone.parse("+14155559876") is not None
print(phone._plan.cache_info().misses - made)
"""

_CONNECTED = """
import psutil
from django.db import connections
assert connections["default"].connection is None
assert not psutil.Process().net_connections()
"""


def said(program: str) -> list[str]:
    """The words that it prints. Run by itself, with the product's settings."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program + _CONNECTED],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "trackly.settings"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return done.stdout.split()


def test_the_web_server_imports_what_requests_need_before_it_forks() -> None:
    assert said(_WEB) == []


def test_the_description_can_be_asked_for_by_many_at_once_also_the_first_time() -> None:
    assert said(_TOGETHER) == ["8", "1"]


def test_a_worker_makes_the_pattern_of_most_numbers_before_it_forks() -> None:
    assert said(_WORKER) == ["0"]
