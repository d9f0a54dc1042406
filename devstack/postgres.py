"""PostgreSQL, in the state directory (which program that is: devstack.servers)."""

import os
import pwd
import shlex
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from devstack import servers
from devstack.home import Home, write_private
from devstack.supervisor import Service, StartFailed, identity, plain_environment

SYSTEM_USER = "trackly-postgres"
"""The user that PostgreSQL runs as where we are root: it refuses to run as root, and `nobody` is shared."""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    # A new server makes its first files of the log while the whole stack waits for them: by their last byte
    # alone, not by writing 16 MB of zeros each. They are as safe; where the disk is full is found out later.
    "wal_init_zero": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "",
    "timezone": "UTC",
}


class Postgres:
    """A server of its own in the state directory; `url` is where it listens.

    `durable=False` (tests only) trades crash safety for speed.
    """

    def __init__(self, home: Home, *, durable: bool = True) -> None:
        self.binaries = servers.find(servers.POSTGRES).resolve().parent
        self.data = home.path / "postgres"
        self.port = home.port("postgres")
        self.password = home.secret("postgres.password")
        self.durable = durable
        self.user = SYSTEM_USER if os.geteuid() == 0 else None

    def url(self, database: str = "trackly") -> str:
        return f"postgresql://trackly:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the data directory if there is none, reachable for the user that the server runs as.

        Raises StartFailed.
        """
        self.data.mkdir(mode=0o700, exist_ok=True)
        if self.user is not None:
            _give(self.data, _system_user(self.user))
            _let_through(self.data)
            _let_through(self.binaries)
        if not (self.data / "PG_VERSION").exists():
            self._initdb()

    def _initdb(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            password = Path(folder) / "password"
            write_private(password, self.password)
            if self.user is not None:
                # The folder last: whoever has it can put a link in the file's place.
                owner = pwd.getpwnam(self.user)
                os.chown(password, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
                os.chown(folder, owner.pw_uid, owner.pw_gid)
            command = [str(self.binaries / "initdb"), "-D", str(self.data), "-U", "trackly"]
            command += [
                "--pwfile",
                str(password),
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            ]
            made = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                cwd=folder,
                env=plain_environment(),
                **identity(self.user),
            )
        if made.returncode:
            raise StartFailed(f"initdb failed:\n{made.stderr}")

    def service(self) -> Service:
        settings = {**_SETTINGS, "port": str(self.port)}
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Service(
            name="postgres",
            command=[str(self.binaries / "postgres"), "-D", str(self.data), *options],
            stop_signal="SIGINT",  # "fast": ends its clients' sessions instead of waiting for them
            is_ours=False,
            user=self.user,
            ready=lambda _: self.is_ready(),
        )

    def is_ready(self) -> bool:
        """Whether it answers; makes the database on the first time that it does."""
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2, autocommit=True) as connection:
                made = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'trackly'").fetchone()
                if made is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier("trackly")))
        except psycopg.OperationalError:
            return False
        return True


def _system_user(name: str) -> pwd.struct_passwd:
    """The user of this name, made if there is none. Raises StartFailed."""
    with suppress(KeyError):
        return pwd.getpwnam(name)
    command = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        name,
    ]
    print(f"postgres | refuses to run as root: {shlex.join(command)}", file=sys.stderr)
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = made.stderr.strip()
    except OSError as exc:
        reason = str(exc)
    try:
        return pwd.getpwnam(name)
    except KeyError as exc:
        raise StartFailed(
            f"PostgreSQL refuses to run as root, and there is no user {name} ({reason}): "
            "make one, or start this as another user."
        ) from exc


def _give(data: Path, owner: pwd.struct_passwd) -> None:
    """Make the directory the owner's, with what another user's server may have left in it."""
    if data.stat().st_uid == owner.pw_uid:
        return
    for folder, _, files in os.walk(data):
        for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118 - thousands
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _let_through(path: Path) -> None:
    """As root: let the server's user pass the folders above `path` (search permission, nothing to read)."""
    for folder in path.resolve().parents:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            print(f"postgres | runs as {SYSTEM_USER}: chmod o+x {folder}", file=sys.stderr)
            folder.chmod(mode | stat.S_IXOTH)
