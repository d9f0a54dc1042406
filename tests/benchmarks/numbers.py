"""Phone numbers: as fast as we say, and nowhere different from phonenumbers.

`python -m tests.benchmarks.numbers [COUNT]` prints

1. what 1,000 numbers cost phonenumbers and us, in turns in one process;
2. how many of COUNT texts of every kind (tests/numbers.py) the two disagree on, and the first of them.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

import phonenumbers  # noqa: E402

from contacts import phone  # noqa: E402
from contacts.carriers import offline  # noqa: E402
from tests import numbers  # noqa: E402

T = TypeVar("T")

COUNT, ROUNDS, SHOWN = 1_000_000, 5, 20


def seconds(work: Callable[[T], object], given: Iterable[T]) -> float:
    """Of this process."""
    began = time.process_time()
    for one in given:
        work(one)
    return time.process_time() - began


def compare_speed(name: str, texts: list[str]) -> None:
    parsed = list(filter(None, map(numbers.parsed, texts)))
    parsed_by_us = list(filter(None, map(phone.parse, texts)))
    rounds = [
        (
            seconds(numbers.parsed, texts),
            seconds(phone.parse, texts),
            seconds(numbers.facts_of, parsed),
            seconds(offline.look_up, parsed_by_us),
        )
        for _ in range(ROUNDS)
    ]
    read, read_by_us, facts, facts_by_us = (
        min(column) * 1e6 / len(texts) for column in zip(*rounds, strict=True)
    )
    for what, theirs, own in (("is it one?", read, read_by_us), ("facts", facts, facts_by_us)):
        print(f"{f'{name}, {what}':<28}{theirs:>14.1f}{own:>8.1f}{theirs / own:>7.0f} x")


def compare_answers(count: int) -> int:
    """Print where the two disagree; returns how often."""
    phonenumbers.enable_pattern_cache()  # only for patience
    valid = different = 0
    seed = time.time_ns()
    for text in islice(numbers.samples(seed), count):
        ours, theirs = numbers.by_us(text), numbers.by_phonenumbers(text)
        valid += theirs.number_type != numbers.UNKNOWN
        different += ours != theirs
        if ours != theirs and different <= SHOWN:
            print(f"  {text!r}: {ours}, phonenumbers: {theirs}")
    print(f"\n{count:,} texts (seed {seed}), {valid:,} of them valid numbers: {different:,} differences")
    return different


if __name__ == "__main__":
    print(f"phonenumbers {phonenumbers.__version__}\n")
    print(f"{'ms per 1,000 numbers':<28}{'phonenumbers':>14}{'ours':>8}")
    compare_speed("one country", [f"+1415{2_000_000 + 7_919 * n}" for n in range(1_000)])
    everywhere = list(filter(phone.parse, numbers.examples()))
    random.Random(0).shuffle(everywhere)  # noqa: S311 - nothing secret
    compare_speed("all countries", everywhere)
    sys.exit(bool(compare_answers(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)))
