"""CSV (RFC 4180) that is made line by line, and that a spreadsheet takes for data."""

import csv
from collections.abc import Callable, Iterable
from typing import Any

from core import codec

_FORMULA = {"=", "+", "-", "@", "\t", "\r"}


class _Echo:
    """A file that csv writes to and that gives each line back."""

    def write(self, line: str) -> str:
        return line


def line_writer() -> Callable[[Iterable[Any]], str]:
    """A function that makes a line of a row's cells."""
    return csv.writer(_Echo()).writerow  # which returns what `write` does


def cell(value: Any) -> str:
    """Text as it is, all else as JSON.

    Text that a spreadsheet would take for a formula starts with `'` (OWASP, "CSV injection"), but for numbers
    with a plus sign, which are phone numbers here.
    """
    text = value if isinstance(value, str) else codec.dumps(value)
    text = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    is_number = text.startswith("+") and text[1:].isdigit()
    return f"'{text}" if text[:1] in _FORMULA and not is_number else text
