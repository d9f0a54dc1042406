"""No text that a client can send may take more than linear time: one such header stopped a web process."""

import importlib
import inspect
import itertools
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from django.test import RequestFactory

import billing
import contacts
import journeys
import trackly
from core.http.prefer import wait_of

_SHORT, _TIMES = 1_500, 4
_MOST_GROWTH = 10
"""Four times the text may take four times as long; where each character looks at all others it is sixteen."""
_WORTH_A_LOOK = 0.004
"""Seconds of CPU; below it the clock's grain decides."""
_CHARACTERS = " \ta1=;,\"'\\+-.{|/:[x\n"
_PUMPS = [*_CHARACTERS, *map("".join, itertools.permutations(' a1="\\+.;{-', 2))]
_PREFIXES = ["", "a=", '"', "{{", "application/", "http://a", "trk_", "+1", " - at `$"]
_SUFFIXES = ["", '"x"y', "!", "\x00"]


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if "migrations" not in found.name and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _uses() -> dict[str, Callable[[str], object]]:
    """Every regular expression over text that stands in a module of the product, as the module applies it."""
    return {
        f"{module.__name__}.{name}.{method}": _over_text(value, method)
        for package in (trackly, contacts, journeys, billing)
        for module in _modules(package)
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
        for method in ("match", "fullmatch", "search", "finditer", "findall", "sub", "split")
        if f"{name}.{method}(" in inspect.getsource(module)
    }


def _over_text(pattern: re.Pattern[Any], method: str) -> Callable[..., Any]:
    """The pattern's method, which takes text also where the pattern is one of bytes."""
    apply: Callable[..., Any] = getattr(pattern, method)
    return apply if isinstance(pattern.pattern, str) else lambda text: apply(text.encode())


def _seconds(call: Callable[[str], object], text: str) -> float:
    before = time.thread_time()
    call(text)
    return time.thread_time() - before


def _grows_too_fast(call: Callable[[str], object], make: Callable[[int], str]) -> bool:
    """Whether the longer text takes out of proportion; measured again where it seems so."""
    short, long = make(_SHORT), make(_SHORT * _TIMES)
    if _seconds(call, short) > 1:
        return True
    if _seconds(call, long) < _WORTH_A_LOOK:
        return False
    return min(_seconds(call, long) for _ in range(3)) > _MOST_GROWTH * min(
        _seconds(call, short) for _ in range(3)
    )


def _bad_texts(call: Callable[[str], object]) -> list[tuple[str, str, str]]:
    return [
        (prefix, pump, suffix)
        for prefix, pump, suffix in itertools.product(_PREFIXES, _PUMPS, _SUFFIXES)
        if _grows_too_fast(call, partial(_text, prefix, pump, suffix))
    ]


def _text(prefix: str, pump: str, suffix: str, size: int) -> str:
    return prefix + pump * (size // len(pump)) + suffix


@pytest.mark.parametrize("use", _uses())
def test_a_pattern_takes_time_in_proportion_to_the_text(use: str) -> None:
    apply: Callable[..., Any] = _uses()[use]
    if use.endswith(".sub"):
        apply = partial(apply, "")
    elif use.endswith(".finditer"):
        apply = partial(_all, apply)
    assert _bad_texts(apply) == []


def _all(find: Callable[[str], Iterator[object]], text: str) -> list[object]:
    return list(find(text))


def test_prefer_takes_time_in_proportion_to_the_header() -> None:
    factory = RequestFactory()
    assert _bad_texts(lambda text: wait_of(factory.post("/", headers={"Prefer": text}))) == []


def test_the_pattern_that_stopped_a_process_is_found() -> None:
    cubic = re.compile(r"^\s*(?P<name>[\w-]+)\s*(?:=\s*\"?(?P<value>[^\";]*)\"?)?\s*(?:;.*)?$")
    assert _grows_too_fast(cubic.match, lambda size: f'a={" " * (size // 10)}"x"y')
