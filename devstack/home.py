"""The state directory: the process that owns it, what runs from it, where its servers listen."""

import fcntl
import os
import secrets
import socket
import stat
from pathlib import Path
from typing import IO

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class HomeInUse(Exception):
    """Another stack runs from the same state directory."""


class Home:
    """A state directory (`TRACKLY_HOME`), held by one process at a time.

    The lock is the kernel's: it ends with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None

    def acquire(self) -> None:
        """Make the directory and hold it. Raises HomeInUse.

        What lies in it is for its owner alone from then on: contacts' numbers pass through most of it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        # Not through a link: the directory may be another user's, and its target would be emptied.
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        lock = os.fdopen(descriptor, "r+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise HomeInUse(f"{self.path} is in use by process {owner}; stop it first.") from exc
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        self._make_private()

    def _make_private(self) -> None:
        """Take from others what they might do with its files: an older stack, or a shell's `>`, made some."""
        for folder, folders, files in os.walk(self.path):
            if Path(folder) == self.path and "postgres" in folders:
                folders.remove("postgres")  # sees to its own
            for name in (*folders, *files):
                path = Path(folder, name)
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode & ~_OTHERS)

    def owner(self) -> int | None:
        """The id of the process that holds the directory; None if there is none."""
        try:
            lock = (self.path / "lock").open()
        except FileNotFoundError:
            return None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read())
        return None

    def take_restarts(self) -> None:
        """Say that the process that holds the directory takes SIGUSR1 for a restart."""
        write_private(self.path / "restartable", str(os.getpid()))

    def takes_restarts(self, owner: int) -> bool:
        """Whether this process does: one that does not would die of the signal."""
        path = self.path / "restartable"
        return path.exists() and path.read_text() == str(owner)

    @property
    def restarts(self) -> Path:
        """Where the last restart's end is written: "ok", or what went wrong."""
        return self.path / "restarted"

    def note_restart(self, ended: str) -> None:
        """Write it, all at once."""
        temporary = self.path / "restarted.new"
        write_private(temporary, ended)
        temporary.replace(self.restarts)

    @property
    def is_held(self) -> bool:
        return self._lock is not None

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def secret(self, name: str) -> str:
        """A random secret that stays the same for this directory."""
        path = self.path / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(40))
        return path.read_text()

    def port(self, name: str) -> int:
        """A free port of the loopback, the same as last time if it is still free."""
        path = self.path / f"{name}.port"
        before = int(path.read_text()) if path.exists() else 0
        port = before if before and is_free(before) else free_port()
        write_private(path, str(port))
        return port

    def write_environment(self, variables: dict[str, str]) -> None:
        """`stack.env`: what trackly.settings uses, while the stack runs, where the environment is silent."""
        lines = [f"{name}={value}\n" for name, value in variables.items()]
        write_private(self.path / "stack.env", "".join(lines))

    def remove_environment(self) -> None:
        (self.path / "stack.env").unlink(missing_ok=True)

    @property
    def is_new(self) -> bool:
        """Whether the introduction (how to log in) has not been shown yet."""
        return not (self.path / "introduced").exists()

    def mark_introduced(self) -> None:
        write_private(self.path / "introduced", "")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, also while it is being written."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def is_free(port: int) -> bool:
    """Whether this port of the loopback is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
