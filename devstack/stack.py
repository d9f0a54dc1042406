"""Which processes make the stack, in which order, with which environment."""

import json
import os
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import redis

from core.celery import heartbeats
from devstack.home import Home, write_private
from devstack.postgres import Postgres
from devstack.redis import Redis
from devstack.supervisor import Service, StartFailed, Supervisor, end_leftovers

# Whatever HTTP_PROXY says: these servers are on this machine.
LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_BACKLOG = 2048
_WEB_PATIENCE = 40.0
"""Seconds: above gunicorn's graceful_timeout, which is above TRACKLY_MAX_WAIT."""
_CELERY = ("-m", "celery", "--quiet", "-A", "trackly")
ROOT = Path(__file__).resolve().parent.parent


class Stack:
    """PostgreSQL and Redis (unless `DATABASE_URL` and `REDIS_URL` name others), and the product's processes.

    Use: `start_servers()`, `start_product(port)`, `stop()`. All of it lives in `home`.
    """

    def __init__(self, home: Home, *, durable: bool = True, output: Any = None) -> None:
        self.home = home
        self.supervisor = Supervisor(home.path / "processes.json", output)
        self.durable = durable
        self.environment: dict[str, str] = {}
        self._socket: socket.socket | None = None
        self._nodes = 0

    def start_servers(self) -> None:
        """Hold the state directory, end what a killed stack left, start the servers, write `stack.env`."""
        self.home.acquire()
        for name in end_leftovers(self.home.path / "processes.json"):
            self.supervisor.say(name, "was left running by a stack that was killed; ended it")
        database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
        if not database_url:
            postgres = Postgres(self.home, durable=self.durable)
            postgres.prepare()
            self.supervisor.start(postgres.service())
            database_url = postgres.url()
        if not redis_url:
            server = Redis(self.home)
            self.supervisor.start(server.service())
            redis_url = server.url
        stub = self.home.port("sandbox")
        self.environment = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": os.environ.get("SECRET_KEY") or self.home.secret("secret_key"),
            "DJANGO_SETTINGS_MODULE": "trackly.settings",
            "TRACKLY_SANDBOX": "1",
            "TRACKLY_SANDBOX_URL": f"http://127.0.0.1:{stub}",
            "TRACKLY_HOME": str(self.home.path),
        }
        self.supervisor.start(self._service("sandbox", ["-m", "devstack.sandbox.server", str(stub)]))
        self.home.write_environment(self.environment)

    def start_product(self, port: int, *, timeout: float = 60.0) -> None:
        """Migrate, start the workers, beat and the web server; returns when /readyz says so."""
        try:
            self._socket = listen(port)
        except OSError as exc:
            raise StartFailed(f"Port {port} can't be had ({exc}); choose another: PORT=8001 make up") from exc
        self.manage("migrate", "--verbosity", "0")
        for worker in self._workers():
            self.supervisor.start(replace(worker, ready=None))  # /readyz asks them
        self.supervisor.start(self._beat())
        self.supervisor.start(self._web(self._socket), timeout=timeout)

    def restart_product(self) -> None:
        """Migrate, then run the code as it is now: each worker beside its predecessor, the web server's too.

        Requests are taken and slices processed all the while. Raises StartFailed where something does not
        become ready; it, and what comes after it, runs on as it was. How many processes there are, and with
        which options, is the business of this one: that takes a new `make up`.
        """
        if self._socket is None:
            raise StartFailed("Only the servers run here; there is nothing to restart.")
        self.manage("migrate", "--verbosity", "0")
        for worker in self._workers():
            self.supervisor.replace(worker)
        self.supervisor.renew(self._beat())
        self.supervisor.replace(self._web(self._socket))
        if self.supervisor.deaths("beat"):
            raise StartFailed("beat does not stay up; the sweep does not run.")

    def _workers(self) -> list[Service]:
        count = str(os.environ.get("WORKERS") or max(1, os.cpu_count() or 1))
        return [
            self._worker("worker", "ingest", "-Q", "settle,ingest", "-c", count),
            self._worker("journeys", "journeys", "-Q", "journeys", "-c", count),
            self._worker("live", "live", "-Q", "messages,live", "-P", "threads", "-c", "8"),
        ]

    def _worker(self, name: str, node: str, *options: str) -> Service:
        """SIGTERM lets it finish what it is at; SIGQUIT, later, has it hand its messages back."""
        self._nodes += 1
        node = f"{node}{self._nodes}@{socket.gethostname()}"  # a name of its own, beside its predecessor's
        quiet = ("--without-gossip", "--without-mingle")

        def is_heard_of(_: int) -> bool:
            with redis.Redis.from_url(self.environment["REDIS_URL"], socket_timeout=3) as known:
                return known.zscore(heartbeats.KEY, node) is not None

        command = [*_CELERY, "worker", *quiet, "-n", node, *options]
        return self._service(name, command, last_signal="SIGQUIT", ready=is_heard_of)

    def _beat(self) -> Service:
        schedule = str(self.home.path / "beat-schedule")
        return self._service("beat", [*_CELERY, "beat", "-s", schedule, "--pidfile="])

    def _web(self, listener: socket.socket) -> Service:
        """The socket is ours: connections wait in it while there is no web server, or take the next one."""
        port, descriptor = listener.getsockname()[1], listener.fileno()
        gunicorn = ["-m", "gunicorn", "-c", "python:trackly.web.server", "-b", f"fd://{descriptor}"]

        def is_ready(master: int) -> bool:
            try:
                has_loaded = bool(psutil.Process(master).children())  # only then it forks
            except psutil.NoSuchProcess:
                return False
            return has_loaded and answers(f"http://127.0.0.1:{port}/readyz")

        return self._service(
            "web", [*gunicorn, "trackly.asgi"], ready=is_ready, sockets=(descriptor,), patience=_WEB_PATIENCE
        )

    def _service(self, name: str, command: Sequence[str], **more: Any) -> Service:
        """A Python program of the product's, in the stack's environment."""
        return Service(name=name, command=[sys.executable, *command], environment=self.environment, **more)

    def manage(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """Run `manage.py` against the stack; its output. Raises StartFailed."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env={**os.environ, **self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StartFailed(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def create_demo_account(self) -> dict[str, Any]:
        """The account that the README's examples use."""
        demo = ["--list", "+18005551234", "--billing", "active", "--welcome-journey", "Welcome", "--json"]
        created: dict[str, Any] = json.loads(self.manage("create_account", "Demo", *demo))
        return created

    def create_admin(self) -> str | None:
        """A superuser `admin`; its password, or None if the database has such a user already."""
        password = secrets.token_urlsafe(12)
        try:
            self.manage(
                "createsuperuser",
                "--noinput",
                "--username=admin",
                "--email=admin@localhost",
                environment={"DJANGO_SUPERUSER_PASSWORD": password},
            )
        except StartFailed as exc:
            if "already taken" in str(exc):
                return None
            raise
        write_private(self.home.path / "admin.password", password)
        return password

    def stop(self) -> None:
        """End every process that was started; give the state directory back, if it was ours."""
        if not self.home.is_held:
            return
        self.supervisor.stop()
        if self._socket is not None:
            self._socket.close()
        self.home.remove_environment()
        self.home.release()


def listen(port: int) -> socket.socket:
    """A socket that listens on the loopback. Raises OSError where the port can't be had."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A connection inherits it when it is made, which may be before there is a web server to set it.
        # Without it each answer waits 40 ms, for the client to acknowledge the answer's head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered 200."""
    try:
        with LOOPBACK.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
