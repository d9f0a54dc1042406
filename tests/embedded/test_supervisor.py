"""Processes that belong together, and what happens when one dies."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from devstack.home import Home, HomeInUse, is_free
from devstack.postgres import Postgres
from devstack.redis import Redis
from devstack.supervisor import Service, StartFailed, Supervisor, end_leftovers

FOREVER = "import signal, sys; print('here', flush=True); signal.pause()"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path / "processes.json", io.StringIO())
    yield made
    made.stop()


def running(supervisor: Supervisor) -> list[psutil.Process]:
    return [psutil.Process(entry[1]) for entry in json.loads(supervisor._record.read_text())]


def service(name: str, code: str, ready: Callable[[int], bool] | None = None) -> Service:
    return Service(name=name, command=[sys.executable, "-c", code], ready=ready)


def until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    """Watch until the condition holds."""
    stop = threading.Event()
    watcher = threading.Thread(target=supervisor.watch, args=(stop,))
    watcher.start()
    try:
        for _ in range(600):
            if condition():
                return
            stop.wait(0.05)
        raise AssertionError("it never happened")
    finally:
        stop.set()
        watcher.join()


def test_a_server_is_not_given_what_was_meant_for_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL runs as another user, and whoever may run SQL as its superuser reads its environment."""
    monkeypatch.setenv("SECRET_KEY", "ours")
    monkeypatch.setenv("LC_MESSAGES", "C")
    names = "import os; print(sorted(os.environ), flush=True); import signal; signal.pause()"
    for is_ours in (True, False):
        output = io.StringIO()
        supervisor = Supervisor(tmp_path / "processes.json", output)
        supervisor.start(replace(service("a", names), is_ours=is_ours))
        try:
            until(supervisor, lambda: "LC_MESSAGES" in output.getvalue())  # noqa: B023 - within the loop
        finally:
            supervisor.stop()
        assert ("SECRET_KEY" in output.getvalue()) == is_ours


def test_the_servers_are_not_ours(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert not Postgres(home).service().is_ours
    assert not Redis(home).service().is_ours


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")
def test_initdb_gives_no_file_to_another_user_that_a_link_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That user puts a link to a file of ours in the password's place, the moment the folder is its own."""
    ours = tmp_path / "ours"
    ours.touch()
    made = Postgres(Home(tmp_path))
    made.user = "nobody"
    chown = os.chown

    def attacked(path: Any, *ids: int, **more: Any) -> None:
        chown(path, *ids, **more)
        if Path(path).is_dir():
            (Path(path) / "password").unlink()
            (Path(path) / "password").symlink_to(ours)

    monkeypatch.setattr(os, "chown", attacked)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    made._initdb()
    assert ours.stat().st_uid == 0


def test_each_line_says_who_says_it(supervisor: Supervisor) -> None:
    output = supervisor._output
    assert isinstance(output, io.StringIO)
    supervisor.start(service("talker", FOREVER, lambda _: "talker   | here\n" in output.getvalue()))
    assert output.getvalue() == "talker   | here\n"


def test_what_dies_is_started_again(supervisor: Supervisor) -> None:
    supervisor.start(service("mortal", FOREVER))
    [first] = running(supervisor)
    before = supervisor._record.read_text()
    first.kill()
    until(supervisor, lambda: supervisor._record.read_text() != before)
    [second] = running(supervisor)
    assert second.is_running()
    assert second.pid != first.pid


def test_what_ends_while_starting_is_told(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailed, match="broken ended with 3 while starting"):
        supervisor.start(service("broken", "raise SystemExit(3)", lambda _: False))


def test_what_does_not_become_ready_is_told(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailed, match="idle is not ready after 0 s"):
        supervisor.start(service("idle", FOREVER, lambda _: False), timeout=0)


def test_a_successor_takes_over_once_it_is_ready(supervisor: Supervisor) -> None:
    supervisor.start(service("server", FOREVER))
    [first] = running(supervisor)
    supervisor.replace(service("server", FOREVER, lambda pid: first.is_running() and pid != first.pid))
    [second] = running(supervisor)
    assert second.pid != first.pid
    assert not first.is_running()


def test_a_successor_that_does_not_become_ready_leaves_the_old_one(supervisor: Supervisor) -> None:
    supervisor.start(service("server", FOREVER))
    [first] = running(supervisor)
    with pytest.raises(StartFailed, match="server ended with 3 while starting"):
        supervisor.replace(service("server", "raise SystemExit(3)", lambda _: False))
    assert running(supervisor) == [first]
    assert first.is_running()
    assert str(first.pid) in supervisor._record.read_text()


def test_what_must_not_run_twice_ends_before_its_successor_starts(supervisor: Supervisor) -> None:
    supervisor.start(service("beat", FOREVER))
    [first] = running(supervisor)
    supervisor.renew(service("beat", FOREVER))
    [second] = running(supervisor)
    assert not first.is_running()
    assert second.create_time() >= first.create_time()


def test_stopping_ends_also_the_children_of_what_was_started(supervisor: Supervisor, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    parent = (
        "import subprocess, sys, signal, pathlib\n"
        f"child = subprocess.Popen([sys.executable, '-c', {FOREVER!r}])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
        "signal.pause()"
    )
    supervisor.start(service("parent", parent, lambda _: note.exists() and bool(note.read_text())))
    processes = [*running(supervisor), psutil.Process(int(note.read_text()))]
    supervisor.stop()
    psutil.wait_procs(processes, timeout=30)
    assert not any(process.is_running() for process in processes)


def test_a_successor_ends_what_a_killed_supervisor_left_and_nothing_else(tmp_path: Path) -> None:
    record = tmp_path / "processes.json"
    predecessor = Supervisor(record, io.StringIO())
    predecessor.start(service("left", FOREVER))
    [left] = running(predecessor)
    stranger = psutil.Popen([sys.executable, "-c", FOREVER])
    entries = json.loads(record.read_text())
    # The id of a process that ended long ago has gone to a stranger.
    entries.append(["old", stranger.pid, stranger.create_time() - 100, "SIGTERM"])
    record.write_text(json.dumps(entries))
    assert end_leftovers(record) == ["left"]
    assert not left.is_running()
    assert stranger.is_running()
    assert not record.exists()
    stranger.kill()
    stranger.wait()
    predecessor.stop()


def test_a_state_directory_serves_one_stack_at_a_time(tmp_path: Path) -> None:
    first, second = Home(tmp_path), Home(tmp_path)
    first.acquire()
    with pytest.raises(HomeInUse, match="in use by process"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_secrets_and_ports_stay_and_are_private(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.secret("x") == home.secret("x")
    assert home.secret("x") != home.secret("y")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    port = home.port("web")
    assert home.port("web") == port
    assert is_free(port)


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    theirs, home = tmp_path / "theirs", Home(tmp_path / "home")
    theirs.write_text("kept")
    home.path.mkdir()
    (home.path / "lock").symlink_to(theirs)
    with pytest.raises(OSError, match="symbolic links"):
        home.acquire()
    assert theirs.read_text() == "kept"
