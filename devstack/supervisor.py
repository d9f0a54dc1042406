"""Processes that belong together: started in order, shown by name, restarted if they die, ended together."""

import json
import os
import pwd
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import psutil

from devstack.home import write_private

GRACE_SECONDS = 20.0
"""How long a process may take to end before it is told otherwise."""
_LAST_SECONDS = 10.0
_POLL_SECONDS = 0.1
_STEADY_SECONDS = 10.0
"""A process that lived this long is restarted at once, others after a growing pause."""
_LONGEST_PAUSE = 5.0


class StartFailed(Exception):
    """A service did not become ready."""


@dataclass(frozen=True)
class Service:
    """What is to run, under which name, and how to tell that it does."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    is_ours: bool = True
    """Whether it is the product, and gets all of our environment: a server has no use for our secrets, and
    may run as another user."""
    stop_signal: str = "SIGTERM"
    last_signal: str = "SIGKILL"
    """For what has not ended `patience` seconds after `stop_signal`."""
    patience: float = GRACE_SECONDS
    user: str | None = None
    ready: Callable[[int], bool] | None = None
    """Whether the process of this id does its work."""
    sockets: tuple[int, ...] = ()
    """Descriptors that the process is given, under the same numbers."""


@dataclass
class _Running:
    service: Service
    process: "subprocess.Popen[str]"
    since: float
    deaths: int = 0
    restart_at: float | None = None


class Supervisor:
    """Keeps services running. What it started stands in `record`, so that a successor finds it."""

    def __init__(self, record: Path, output: IO[str] | None = None) -> None:
        self._record = record
        self._output = output or sys.stdout
        self._running: list[_Running] = []
        self._beside: list[_Running] = []
        """On its way in or out, beside the one of its name."""
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop: threading.Event | None = None
        self._printing = threading.Lock()
        self._relays: list[threading.Thread] = []

    def say(self, name: str, line: str) -> None:
        with self._printing, suppress(ValueError, OSError):  # the reader of the output may be gone
            self._output.write(f"{name:<8} | {line}\n")
            self._output.flush()

    def start(self, service: Service, *, timeout: float = 60.0) -> None:
        """Start a service and wait until it is ready. Raises StartFailed."""
        running = self._launch(service)
        self._running.append(running)
        self._write_record()
        self._await(running, timeout)

    def _launch(self, service: Service) -> _Running:
        return _Running(service, self._spawn(service), time.monotonic())

    def _await(self, running: _Running, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        name, ready = running.service.name, running.service.ready
        while ready is not None and not ready(running.process.pid):
            if running.process.poll() is not None:
                raise StartFailed(f"{name} ended with {running.process.returncode} while starting.")
            if time.monotonic() > deadline:
                raise StartFailed(f"{name} is not ready after {timeout:.0f} s.")
            if self._stop is not None and self._stop.is_set():
                raise StartFailed(f"{name} was starting when all was to end.")
            if self._stop is not None:
                self._look_after_all()
            time.sleep(_POLL_SECONDS)

    def ask(self, task: Callable[[], None]) -> None:
        """Have `watch` run `task`, between its looks. Signal handlers and other threads may call it."""
        self._asked.put(task)

    def replace(self, service: Service, *, timeout: float = 60.0) -> None:
        """Start the service beside the one of its name, and end that once the new one is ready.

        Raises StartFailed if it does not become ready; then the old one runs on. Where `watch` runs, it is
        for that to call this (`ask`).
        """
        old, new = self._named(service.name), self._launch(service)
        self._beside = [new]
        self._write_record()
        try:
            self._await(new, timeout)
            self._running[self._running.index(old)] = new
            self._beside = [old]
        finally:
            for running in self._beside:
                self._end(running)
            self._beside = []
            self._write_record()

    def renew(self, service: Service) -> None:
        """End the one of the service's name, then start it: for what must not run twice."""
        running = self._named(service.name)
        self._end(running)
        running.service, running.since = service, time.monotonic()
        running.deaths, running.restart_at = 0, None
        running.process = self._spawn(service)
        self._write_record()

    def deaths(self, name: str) -> int:
        """How often in a row the service has died soon after its start."""
        running = self._named(name)
        return running.deaths + (running.process.poll() is not None)

    def _named(self, name: str) -> _Running:
        [found] = [running for running in self._running if running.service.name == name]
        return found

    def _end(self, running: _Running) -> None:
        service = running.service
        asking = (getattr(signal, service.stop_signal), getattr(signal, service.last_signal))
        end(running.process, *asking, patience=service.patience)

    def _spawn(self, service: Service) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            list(service.command),
            env={**(os.environ if service.is_ours else plain_environment()), **service.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=service.sockets,
            start_new_session=True,  # Ctrl-C is for us alone; and its children can be ended with it
            umask=0o077,  # what it writes, its own user reads
            **identity(service.user),
        )
        relay = threading.Thread(target=self._relay, args=(service.name, process), daemon=True)
        relay.start()
        self._relays.append(relay)
        return process

    def _relay(self, name: str, process: "subprocess.Popen[str]") -> None:
        with cast("IO[str]", process.stdout) as output:  # Popen was given a pipe
            for line in output:
                self.say(name, line.rstrip("\n"))

    def watch(self, stop: threading.Event) -> None:
        """Restart what dies, and do what is asked, until `stop` is set."""
        self._stop = stop
        while not stop.wait(_POLL_SECONDS):
            self._look_after_all()
            with suppress(queue.Empty):
                self._asked.get_nowait()()

    def _look_after_all(self) -> None:
        for running in self._running:
            self._look_after(running)

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        if running.process.poll() is None:
            return
        if running.restart_at is None:
            running.deaths = 0 if now - running.since > _STEADY_SECONDS else running.deaths + 1
            pause = min(_LONGEST_PAUSE, 0.25 * 2**running.deaths) if running.deaths else 0.0
            running.restart_at = now + pause
            end_group(running.process.pid, signal.SIGKILL)  # children that outlived it
            code = running.process.returncode
            self.say(running.service.name, f"died ({code}); starting it again in {pause:.1f} s")
        if now >= running.restart_at:
            running.process, running.since = self._spawn(running.service), now
            running.restart_at = None
            self._write_record()

    def stop(self) -> None:
        """End everything, the last started first."""
        for running in reversed(self._running):
            self._end(running)
        self._running.clear()
        for relay in self._relays:
            relay.join(timeout=5)
        self._record.unlink(missing_ok=True)

    def _write_record(self) -> None:
        entries = []
        for running in (*self._running, *self._beside):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(running.process.pid)
                service = running.service
                entries.append([service.name, process.pid, process.create_time(), service.stop_signal])
        temporary = self._record.with_suffix(".new")
        write_private(temporary, json.dumps(entries))
        temporary.replace(self._record)


_PLAIN = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def plain_environment() -> dict[str, str]:
    """What any program needs of our environment, and nothing that was meant for us."""
    return {name: os.environ[name] for name in os.environ if name in _PLAIN or name.startswith("LC_")}


def identity(user: str | None) -> dict[str, Any]:
    """Popen's arguments that make a process run as `user`, in that user's group alone; None: as we do."""
    if user is None:
        return {}
    owner = pwd.getpwnam(user)
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def end(
    process: "subprocess.Popen[str]",
    stop_signal: signal.Signals,
    last_signal: signal.Signals,
    *,
    patience: float = GRACE_SECONDS,
) -> None:
    """Ask a process to end, once more with `last_signal`, kill it if it doesn't, and what it leaves."""
    for asking, seconds in ((stop_signal, patience), (last_signal, _LAST_SECONDS)):
        if process.poll() is None:
            process.send_signal(asking)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
    if process.poll() is None:
        process.kill()
        process.wait()
    end_group(process.pid, signal.SIGKILL)


def end_group(leader: int, with_signal: signal.Signals) -> None:
    """Signal the process group that `leader`, which we started, has led."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, with_signal)


def end_leftovers(record: Path) -> list[str]:
    """End what a supervisor that was killed left running, the last started first; returns the names.

    A process is only touched if it is the very one that was recorded: same id, same time of birth.
    """
    if not record.exists():
        return []
    ended = []
    for name, pid, born, stop_signal in reversed(json.loads(record.read_text())):
        try:
            process = psutil.Process(pid)
            if abs(process.create_time() - born) > 0.01:  # the id went to another process
                continue
            process.send_signal(getattr(signal, stop_signal))
            try:
                process.wait(GRACE_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(GRACE_SECONDS)
            ended.append(name)
        except psutil.NoSuchProcess:
            pass
        # While members live the kernel gives the group's id to no other group.
        end_group(pid, signal.SIGKILL)
    record.unlink()
    return ended
