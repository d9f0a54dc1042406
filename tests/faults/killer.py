"""Kills workers at random; the supervisor starts them again."""

import random
import threading
from contextlib import suppress

import psutil

from devstack.home import Home
from tests.conftest import RunningStack


def processes(home: Home) -> set[psutil.Process]:
    """What runs from a state directory, but for the servers."""
    return {
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("TRACKLY_HOME") == str(home.path)
    }


class Killer(threading.Thread):
    """Kills a process of the workers' every now and then, with SIGKILL; `kills` times, then it ends.

    `queues`: only of the workers that take one of these queues. `work`: a query for when somebody began
    something last, and how much is left; while there is any, nobody is killed before something was begun
    since the last kill. (Where workers start slowly they would all die before they have done anything.)
    """

    def __init__(
        self, stack: RunningStack, *, kills: int, seed: int, work: str, queues: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self._stack, self._home, self._work = stack, stack.stack.home, work
        self._random = random.Random(seed)  # noqa: S311 - not a secret
        self._stop_asked = threading.Event()
        self._queues = set(queues)
        self._wanted = kills
        self.kills = 0

    def run(self) -> None:
        before = None
        while self.kills < self._wanted and not self._stop_asked.wait(self._random.uniform(0.1, 0.6)):
            [(begun, left)] = self._stack.rows(self._work)
            if left and begun == before:
                continue
            victims = self._victims()
            mothers = {process.pid for process in victims}
            children = [process for process in victims if process.ppid() in mothers]
            # A child of a pool is there again at once; a whole worker now and then, which takes seconds.
            chosen = victims if self.kills % 8 == 7 else children
            if chosen:
                self._random.choice(sorted(chosen, key=lambda process: process.pid)).kill()
                self.kills += 1
                before = begun

    def _victims(self) -> list[psutil.Process]:
        found = []
        for process in processes(self._home):
            with suppress(psutil.NoSuchProcess):
                command = process.cmdline()
                queues = {queue for part in command for queue in part.split(",")}
                if "worker" in command and (not self._queues or self._queues & queues):
                    found.append(process)
        return found

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()
