"""A RabbitMQ of its own, where `rabbitmq-server` is installed; nothing of the system's is touched."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

import amqp

from devstack.home import free_port, write_private
from devstack.supervisor import StartFailed, end, end_group

_START_SECONDS, _PAUSE_SECONDS = 120.0, 0.1
# Debian's command is for root and its own user alone, and runs as the latter; this one is for all.
_DEBIANS = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def find_server() -> str | None:
    """The program to run; None where RabbitMQ is not installed."""
    installed = shutil.which("rabbitmq-server")
    return str(_DEBIANS) if installed and _DEBIANS.exists() else installed


class RabbitMQ:
    """A broker on the loopback, that keeps all it has in `folder`; what it says goes to `output`."""

    def __init__(self, folder: Path, output: IO[str]) -> None:
        self._data, self._output = folder / "data", output
        self._address = f"127.0.0.1:{free_port()}"
        self.url = f"amqp://guest:guest@{self._address}//"
        self._processes: list[subprocess.Popen[str]] = []
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")},
            "HOME": str(folder),  # Erlang's cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(self._data),
            "RABBITMQ_NODENAME": f"tests-{os.getpid()}@localhost",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_private(folder / "rabbitmq.conf", f"listeners.tcp.1 = {self._address}\n")

    def start(self) -> None:
        """Start it, and return when it can be talked to. Raises StartFailed."""
        server = find_server()
        if server is None:
            raise StartFailed("rabbitmq-server is not on the PATH.")
        if not self._processes:  # RabbitMQ would start this one itself, and leave it running
            self._run("epmd")
        node = self._run(server)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if node.poll() is not None or time.monotonic() > deadline:
                raise StartFailed("RabbitMQ does not start; its output says why.")
            time.sleep(_PAUSE_SECONDS)

    def _run(self, program: str) -> "subprocess.Popen[str]":
        started = subprocess.Popen(
            [program],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._processes.append(started)
        return started

    def _answers(self) -> bool:
        try:
            with amqp.Connection(self._address, connect_timeout=5):
                return True
        except (OSError, amqp.exceptions.AMQPError):
            return False

    @property
    def pid(self) -> int:
        """Of the node's first process."""
        return self._processes[-1].pid

    def kill(self, *, forgets: bool) -> None:
        """End it with SIGKILL; `forgets`: and lose all that it had."""
        node = self._processes.pop()
        end_group(node.pid, signal.SIGKILL)
        node.wait()
        if forgets:
            shutil.rmtree(self._data)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP freezes it, SIGCONT lets it go on."""
        end_group(self.pid, number)

    def stop(self) -> None:
        """End all that was started."""
        for process in reversed(self._processes):
            end(process, signal.SIGTERM, signal.SIGKILL)
        self._processes.clear()
