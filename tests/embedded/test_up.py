"""`make up` as a person uses it: once, again after it was killed, and to its end."""

import io
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from devstack.home import Home, free_port
from devstack.postgres import SYSTEM_USER
from devstack.stack import ROOT, Stack
from tests.support import EXAMPLES, is_as_documented


class Up:
    """A `python -m devstack up`, started and read until it is ready."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.base = home, f"http://127.0.0.1:{port}"
        environment = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        environment |= {"TRACKLY_HOME": str(home), "PORT": str(port), "LOG_LEVEL": "INFO"}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devstack", "up"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C ends" in line:
                break
        self.environment = environment
        self.family = self.children()

    def children(self) -> list[psutil.Process]:
        return (
            psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        )

    def restart(self) -> "subprocess.CompletedProcess[str]":
        """`make restart`."""
        command = [sys.executable, "-m", "devstack", "restart"]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def end(self, number: signal.Signals | None = None) -> int:
        """Signal it, if told to, and read it to its end; the exit status."""
        if number is not None:
            self.process.send_signal(number)
        self.said += self.process.communicate()[0]
        return self.process.returncode


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[[], Up]]:
    """Starts `make up`, always in the same place."""
    started: list[Up] = []
    port = free_port()

    def start() -> Up:
        started.append(Up(tmp_path / "home", port))
        return started[-1]

    yield start
    for stack in started:
        if stack.process.poll() is None:
            stack.end(signal.SIGTERM)


def readable_by_others(home: Path) -> list[str]:
    """What lies in a state directory and is open to other users of the machine."""
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.stat().st_mode & 0o077]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")
def test_as_root_postgres_runs_as_a_user_of_its_own_also_where_it_ran_as_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    stack = Stack(Home(tmp_path / "home"), durable=False, output=io.StringIO())
    data = tmp_path / "home/postgres"
    owners = []
    for _ in range(2):
        try:
            stack.start_servers()
            owners.append({path.owner() for path in (data, *data.rglob("*"))})
        finally:
            stack.stop()
        nobody = pwd.getpwnam("nobody")
        for path in (data, *data.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    assert owners == [{SYSTEM_USER}] * 2


def test_up_shows_the_way_in_survives_being_killed_and_ends_all_that_it_started(up: Callable[[], Up]) -> None:
    first = up()
    key = first.said.split("API key (shown once):")[1].split()[0]
    with httpx.Client(base_url=first.base, headers={"X-Api-Key": key}, trust_env=False, timeout=60) as api:
        answer = api.post("/api/v2/contacts/bulk", json=EXAMPLES["bulk_request"])
        assert is_as_documented(answer.json(), EXAMPLES["bulk_response"])
        assert "admin login:  admin /" in first.said
        for name in ("API", "docs"):
            shown = first.said.split(f"\n  {name}")[1].split()[0]
            assert api.get(shown.replace("localhost", "127.0.0.1")).status_code == 200
        page = api.get("/admin/login/")
        assert page.status_code == 200
        style = page.text.split('href="/static/')[1].split('"')[0]
        assert api.get(f"/static/{style}").status_code == 200

        assert readable_by_others(first.home) == []
        # What an older version left there is closed when the next one begins.
        (first.home / "redis").chmod(0o755)
        (first.home / "stack.env").chmod(0o644)

        occupied = up()
        assert occupied.end() == 1
        assert "is in use by process" in occupied.said

        first.end(signal.SIGKILL)
        assert any(child.is_running() for child in first.family)
        second = up()
        assert "was left running by a stack that was killed; ended it" in second.said
        assert "shown once" not in second.said
        assert not any(child.is_running() for child in first.family)
        assert readable_by_others(second.home) == []
        repeating = api.post("/api/v2/contacts/bulk", json=EXAMPLES["bulk_request"])
        repeated = repeating.json()
        assert (repeated["success_count"], repeated["contacts_created"]) == (2, 0)

        restarted = second.restart()
        assert (restarted.returncode, restarted.stdout) == (0, "Restarted.\n"), restarted.stderr
        once_more = api.post("/api/v2/contacts/bulk", json=EXAMPLES["bulk_request"]).json()
        assert once_more["success_count"] == 2
        stayed = {" ".join(child.cmdline()) for child in second.family if child.is_running()}
        assert not any("celery" in command or "gunicorn" in command for command in stayed)
        second.family = second.children()

    assert second.end(signal.SIGTERM) == 0
    of_request = [line for line in second.said.splitlines() if repeating.headers["X-Request-Id"] in line]
    # The supervisor's prefix, time and level come before the event.
    assert {line.split("]", 1)[1].split()[0] for line in of_request} == {"api_request", "job_ended"}
    assert "slice_done" not in second.said
    assert "celery.worker" not in second.said
    psutil.wait_procs(second.family, timeout=30)
    assert not any(child.is_running() for child in second.family)
    assert not (second.home / "stack.env").exists()
    nobody = second.restart()
    assert nobody.returncode == 1
    assert "Nothing is up" in nobody.stderr
