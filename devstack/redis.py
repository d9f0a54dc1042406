"""Redis, in the state directory (which program that is: devstack.servers)."""

import redis

from devstack import servers
from devstack.home import Home, write_private
from devstack.supervisor import Service


class Redis:
    """A server of its own in the state directory; `url` is where it listens."""

    def __init__(self, home: Home) -> None:
        self.server = servers.find(servers.REDIS)
        self.data = home.path / "redis"
        self.port = home.port("redis")
        self.password = home.secret("redis.password")

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def service(self) -> Service:
        self.data.mkdir(mode=0o700, exist_ok=True)
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
        lines = [f'{name} "{value}"\n' for name, value in settings.items()]
        # In a file: an argument could be read by every user of the machine.
        write_private(config, "".join([*lines, f"requirepass {self.password}\n"]))
        return Service(
            name="redis",
            command=[str(self.server), str(config)],
            is_ours=False,
            ready=lambda _: self.is_ready(),
        )

    def is_ready(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_connect_timeout=2, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
