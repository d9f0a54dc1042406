"""What goes wrong at the stub, when it is told to: by `PUT /control`, or by a test in the same process."""

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

KINDS = ("429", "500", "timeout", "reset", "half", "nonsense")
"""429 with Retry-After; 500; no answer; the connection is reset; half of a body; a body that is none."""
BLOCKED = ("403", "404", "405")
"""A page with this status, as a firewall, a proxy or the wrong server answers: the service never saw it."""


@dataclass
class Faults:
    """`shares`: the part of all questions, 0 to 1, that meets each kind of fault; drawn with `seed`."""

    delay: float = 0
    """Seconds before each answer."""
    dead: bool = False
    """Every connection is closed without an answer."""
    retry_after: float = 1
    shares: dict[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := self.shares.keys() - {*KINDS, *BLOCKED}:
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
        self._random = random.Random(self.seed)
        self._lock = threading.Lock()

    def draw(self) -> str | None:
        """The fault that the next question meets, or None."""
        if self.dead:
            return "reset"
        with self._lock:
            point = self._random.random()
        for kind, share in self.shares.items():
            if point < share:
                return kind
            point -= share
        return None

    def toss(self) -> bool:
        """One of two ways for a fault to go, drawn."""
        with self._lock:
            return self._random.random() < 0.5  # as often as not


class Log:
    """What was asked, and what became of it: `outcomes[(service, number)]["ok" or a kind of fault]`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.outcomes: dict[tuple[str, str], Counter[str]] = {}

    def note(self, service: str, number: str, outcome: str) -> int:
        """Note a question; how often it has been asked with this one."""
        with self._lock:
            counted = self.outcomes.setdefault((service, number), Counter())
            counted[outcome] += 1
            return counted.total()

    def asked(self, service: str, number: str) -> int:
        with self._lock:
            return self.outcomes.get((service, number), Counter[str]()).total()

    def as_json(self) -> dict[str, Any]:
        with self._lock:
            return {f"{service} {number}": counted for (service, number), counted in self.outcomes.items()}
