r"""JSON out, and JSON in taken apart into the bytes of its parts, as lenient as RFC 8259.

msgspec does the work. What it refuses although RFC 8259 allows it (a lone surrogate, `"\ud800"`; a number
beyond a float) goes through Python's decoder, which is slower.
"""

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

import msgspec

Raw = msgspec.Raw
encode = msgspec.json.encode

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ARRAY = msgspec.json.Decoder(list[Raw])
_SPACE = re.compile(r"[ \t\n\r]*")


MODEST_DEPTH = 100
"""Levels of nesting that no step on a contact's way has trouble with, however deep its own calls are."""
# What is no JSON ends in a string that has no end: it is one string, not a new one at each of its quotes.
_STRING_OR_BRACKET = re.compile(rb"\"(?:[^\"\\]|\\.?)*+(?:\"|\Z)|([\[\]{}])", re.DOTALL)
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def _refuse(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not JSON")


class OutOfRange(str):
    """A number that Python can't hold: beyond a float (`1e999`), or an integer of thousands of digits."""

    __slots__ = ()


def _number(literal: str) -> float | OutOfRange:
    number = float(literal)
    return number if math.isfinite(number) else OutOfRange(literal)


_MOST_DIGITS = 4_000
"""Python refuses to read longer integers: it would take quadratic time."""


def _integer(literal: str) -> int | OutOfRange:
    return int(literal) if len(literal) <= _MOST_DIGITS else OutOfRange(literal)


_PYTHON = json.JSONDecoder(parse_constant=_refuse, parse_float=_number, parse_int=_integer)


def loads(text: bytes) -> Any:
    """Decode any JSON; what Python can't hold becomes OutOfRange. Raises ValueError.

    Raises RecursionError for what is nested more than hundreds of levels deep (is_deeper).
    """
    return _PYTHON.decode(text.decode())


def is_deeper(text: bytes, levels: int) -> bool:
    """Whether the JSON `text` is nested more than `levels` deep: by counting, so the same in every Python.

    Quick for a text that is too short for it, or has too few brackets.
    """
    if len(text) <= 2 * levels or text.count(b"[") + text.count(b"{") <= levels:
        return False  # each level has a bracket at its start and one at its end
    level = 0
    for bracket in _STRING_OR_BRACKET.findall(text):
        level += _STEPS.get(bracket, 0)  # a string is found as b"", whatever it holds
        if level > levels:
            return True
    return False


def dumps(value: Any) -> str:
    """ASCII only: U+0000 and lone surrogates leave as escapes, which any column and client can hold."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def read_moment(given: Any) -> datetime:
    """A date and time in ISO 8601; no offset means UTC (contract). Raises ValueError."""
    message = "must be an ISO 8601 date and time"
    if not isinstance(given, str):
        raise ValueError(message)
    try:
        read = datetime.fromisoformat(given)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(message) from exc


def split_object(text: bytes) -> dict[str, bytes]:
    """The members of a JSON object, each value as the bytes that were sent; of equal names the last wins.

    Raises TypeError if it is other JSON than an object, ValueError if it is no JSON, RecursionError if it is
    nested more than hundreds of levels deep.
    """
    try:
        return {name: bytes(value) for name, value in _OBJECT.decode(text).items()}
    except msgspec.ValidationError as exc:
        raise TypeError("must be a JSON object") from exc
    except msgspec.DecodeError:
        decoded = text.decode()
        if not isinstance(_PYTHON.decode(decoded), dict):
            raise TypeError("must be a JSON object") from None
        return dict(_members(decoded))


def split_array(text: bytes) -> list[bytes]:
    """The items of the JSON array `text`, each as the bytes that were sent. The text is known to be JSON."""
    try:
        return [bytes(item) for item in _ARRAY.decode(text)]
    except msgspec.DecodeError:
        return list(_items(text.decode()))


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _members(text: str) -> Iterator[tuple[str, bytes]]:
    """Walk an object of which `_PYTHON` has said that it is well-formed."""
    position = _skip(text, 0) + 1
    while text[position := _skip(text, position)] != "}":
        name, position = _PYTHON.raw_decode(text, position)
        start = _skip(text, _skip(text, position) + 1)  # behind the colon
        _, position = _PYTHON.raw_decode(text, start)
        yield name, text[start:position].encode()
        position = _skip(text, position)
        position += text[position] == ","


def _items(text: str) -> Iterator[bytes]:
    """Walk an array of which `_PYTHON` has said that it is well-formed."""
    position = _skip(text, 0) + 1
    while text[position := _skip(text, position)] != "]":
        start = position
        _, position = _PYTHON.raw_decode(text, start)
        yield text[start:position].encode()
        position = _skip(text, position)
        position += text[position] == ","


def storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text: it has no U+0000 and is encodable, so no lone surrogates."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
