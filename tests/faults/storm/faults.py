"""What goes wrong, one thing after the other, drawn from a seed."""

import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil
import redis

from devstack.stack import Stack
from tests.faults.storm.proxy import Proxy

_PAUSE = (0.3, 2.0)
"""Seconds between one fault and the next."""
_WORKERS = ("worker", "journeys", "live")


class Faults(threading.Thread):
    """Breaks a stack until `stop()`; `made` says what, how often. What was frozen is thawed in the end."""

    def __init__(self, stack: Stack, redis_url: str, proxies: dict[str, Proxy], seed: int) -> None:
        super().__init__()
        self.made: Counter[str] = Counter()
        self._stack, self._redis_url, self._proxies = stack, redis_url, proxies
        self._random = random.Random(seed)  # noqa: S311 - not a secret
        self._stop_asked = threading.Event()
        self._step = 0
        self._lasting: list[tuple[int, Callable[[], object]]] = []
        """What ends at which step, and how."""
        self._kinds: dict[Callable[[], str | None], int] = {
            self._kill_child: 10,
            self._kill_worker: 5,
            self._kill_web: 3,
            self._kill_beat: 2,
            self._kill_postgres: 2,
            self._kill_redis: 2,
            self._empty_redis: 2,
            self._flush_redis: 3,
            self._fill_redis: 2,
            self._freeze: 5,
            self._freeze_worker_long: 2,
            self._freeze_redis: 1,
            self._cut: 6,
            self._silence: 3,
        }

    def run(self) -> None:
        while not self._stop_asked.wait(self._random.uniform(*_PAUSE)):
            self._step += 1
            self._end_what_is_over()
            [fault] = self._random.choices(list(self._kinds), list(self._kinds.values()))
            with suppress(psutil.NoSuchProcess, redis.RedisError, IndexError):  # it is down already
                self.made[fault() or fault.__name__.strip("_").replace("_", " ")] += 1
        self._step = sys.maxsize
        self._end_what_is_over()

    def stop(self) -> None:
        """Begin no new fault, end those that last; returns when that is done."""
        self._stop_asked.set()
        self.join()

    def _end_what_is_over(self) -> None:
        for entry in [entry for entry in self._lasting if entry[0] <= self._step]:
            self._lasting.remove(entry)
            with suppress(psutil.NoSuchProcess, redis.RedisError):
                entry[1]()

    def _for_some_steps(self, end: Callable[[], object], most: int) -> None:
        self._lasting.append((self._step + self._random.randint(1, most), end))

    def _mother(self, name: str) -> psutil.Process:
        """The process of this service. Raises NoSuchProcess if it is down."""
        entries = json.loads((self._stack.home.path / "processes.json").read_text())
        pids = [pid for service, pid, *_ in entries if service == name]
        if not pids:
            raise psutil.NoSuchProcess(0, name)
        return psutil.Process(pids[0])

    def _child(self, *names: str) -> psutil.Process:
        children = self._mother(self._random.choice(names)).children()
        return self._random.choice(sorted(children, key=lambda process: process.pid))

    def _kill_child(self) -> None:
        self._child("worker", "worker", "journeys").kill()

    def _kill_worker(self) -> None:
        self._mother(self._random.choice(_WORKERS)).kill()

    def _kill_web(self) -> str:
        if self._random.random() < 0.3:
            self._mother("web").kill()
            return "kill web's master"
        self._child("web").kill()
        return "kill web's worker"

    def _kill_beat(self) -> None:
        self._mother("beat").kill()

    def _kill_postgres(self) -> str:
        if self._random.random() < 0.5:
            self._mother("postgres").kill()
            return "kill postgres"
        self._child("postgres").kill()
        return "kill one process of postgres"

    def _kill_redis(self) -> None:
        self._mother("redis").kill()

    def _redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self._redis_url, socket_timeout=2, socket_connect_timeout=2)

    def _flush_redis(self) -> None:
        self._redis().flushall()

    def _empty_redis(self) -> str:
        self._redis().flushall()
        self._mother("redis").kill()
        return "kill redis, all data lost"

    def _fill_redis(self) -> None:
        """It refuses writes ("OOM command not allowed") for a while."""
        self._redis().config_set("maxmemory", 1)
        self._for_some_steps(lambda: self._redis().config_set("maxmemory", 0), 3)

    def _freeze(self) -> str:
        names = ("worker", "journeys", "live", "beat", "web")
        is_mother = self._random.random() < 0.3
        process = self._mother(self._random.choice(names)) if is_mother else self._child(*names[:2], "web")
        process.suspend()
        self._for_some_steps(process.resume, 4)
        return "freeze a process"

    def _freeze_worker_long(self) -> str:
        """For longer than PostgreSQL leaves a transaction alone in which nothing happens."""
        process = self._child("worker", "journeys")
        process.suspend()
        self._lasting.append((self._step + 16, process.resume))
        return "freeze a worker's process for long"

    def _freeze_redis(self) -> None:
        process = self._mother("redis")
        process.suspend()
        self._for_some_steps(process.resume, 3)

    def _cut(self) -> str:
        name = self._random.choice(sorted(self._proxies))
        self._proxies[name].cut(self._random.choice((0.2, 0.5, 1.0)), self._random)
        return f"cut connections to {name}"

    def _silence(self) -> str:
        name = self._random.choice(sorted(self._proxies))
        self._proxies[name].silence()
        self._for_some_steps(self._proxies[name].speak, 4)
        return f"silence of {name}"
