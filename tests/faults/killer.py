"""Kills workers at random; the supervisor starts them again."""

import random
import threading

import psutil

from tests.conftest import RunningStack


class Killer(threading.Thread):
    """Kills a process of the workers' every now and then, with SIGKILL; `kills` times, then it ends.

    `queues`: only of the workers that take one of these queues.
    """

    def __init__(self, stack: RunningStack, *, kills: int, seed: int, queues: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._home = str(stack.stack.home.path)
        self._random = random.Random(seed)  # noqa: S311 - not a secret
        self._stop_asked = threading.Event()
        self._queues = set(queues)
        self._wanted = kills
        self.kills = 0

    def run(self) -> None:
        while self.kills < self._wanted and not self._stop_asked.wait(self._random.uniform(0.1, 0.6)):
            victims = self._victims()
            mothers = {process.pid for process in victims}
            children = [process for process in victims if process.ppid() in mothers]
            # A child of a pool is there again at once; a whole worker now and then, which takes seconds.
            chosen = victims if self.kills % 8 == 7 else children
            if chosen:
                self._random.choice(sorted(chosen, key=lambda process: process.pid)).kill()
                self.kills += 1

    def _victims(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline", "environ"])
            if "worker" in (command := process.info["cmdline"] or [])
            and (not self._queues or any(self._queues.intersection(part.split(",")) for part in command))
            and (process.info["environ"] or {}).get("TRACKLY_HOME") == self._home
        ]

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()
