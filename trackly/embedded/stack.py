"""Which processes make the stack, in which order, with which environment."""

import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from trackly.embedded.home import Home, is_free, write_private
from trackly.embedded.postgres import Postgres
from trackly.embedded.redis import Redis
from trackly.embedded.supervisor import Service, StartFailed, Supervisor, end_leftovers

# Whatever HTTP_PROXY says: these servers are on this machine.
LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ROOT = Path(__file__).resolve().parent.parent.parent


class Stack:
    """PostgreSQL and Redis (unless `DATABASE_URL` and `REDIS_URL` name others), and the product's processes.

    Use: `start_servers()`, `start_product(port)`, `stop()`. All of it lives in `home`.
    """

    def __init__(self, home: Home, *, durable: bool = True, output: Any = None) -> None:
        self.home = home
        self.supervisor = Supervisor(home.path / "processes.json", output)
        self.durable = durable
        self.environment: dict[str, str] = {}

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
        self._start("sandbox", [sys.executable, "-m", "trackly.sandbox.server", str(stub)])
        self.home.write_environment(self.environment)

    def start_product(self, port: int, *, timeout: float = 60.0) -> None:
        """Migrate, start the workers, beat and the web server; returns when /readyz says so."""
        if not is_free(port):
            raise StartFailed(f"Port {port} is taken by another process; choose another: PORT=8001 make up")
        self.manage("migrate", "--verbosity", "0")
        python = sys.executable
        celery = [python, "-m", "celery", "--quiet", "-A", "trackly"]
        worker = [*celery, "worker", "--without-gossip", "--without-mingle", "-l", "WARNING"]
        workers = str(os.environ.get("WORKERS") or max(1, os.cpu_count() or 1))
        schedule = str(self.home.path / "beat-schedule")
        self._start("worker", [*worker, "-n", "ingest@%h", "-Q", "settle,ingest", "-c", workers])
        self._start("journeys", [*worker, "-n", "journeys@%h", "-Q", "journeys", "-c", workers])
        self._start("live", [*worker, "-n", "live@%h", "-Q", "messages,live", "-P", "threads", "-c", "8"])
        self._start("beat", [*celery, "beat", "-l", "WARNING", "-s", schedule, "--pidfile="])
        gunicorn = [python, "-m", "gunicorn", "-c", "python:trackly.gunicorn", "-b", f"127.0.0.1:{port}"]
        gunicorn += ["trackly.wsgi"]
        self._start("web", gunicorn, ready_at=f"http://127.0.0.1:{port}/readyz", timeout=timeout)

    def _start(
        self, name: str, command: list[str], *, ready_at: str | None = None, timeout: float = 60.0
    ) -> None:
        ready = None if ready_at is None else lambda: answers(ready_at)
        self.supervisor.start(
            Service(name=name, command=command, environment=self.environment, ready=ready), timeout=timeout
        )

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
        self.home.remove_environment()
        self.home.release()


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered 200."""
    try:
        with LOOPBACK.open(url, timeout=5) as response:
            return bool(response.status == 200)  # noqa: PLR2004 - OK
    except (urllib.error.URLError, OSError):
        return False
