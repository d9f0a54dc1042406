"""docs/logs.md names every event that the product logs, and no other."""

import ast
import re
from collections.abc import Iterator

from django.conf import settings

from ingestion.models import IncidentKind
from tests.support import PRODUCT

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def logged() -> Iterator[str]:
    for folder in PRODUCT:
        for path in (settings.BASE_DIR / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="logger" | "slices"), attr=level),
                        args=[ast.Constant(value=str(event)), *_],
                    ) if level in LEVELS:
                        yield event


def documented() -> set[str]:
    text = (settings.BASE_DIR / "docs/logs.md").read_text()
    first_cells = re.findall(r"^\| (`[^|]+) \|", text.split("## All others")[1], re.MULTILINE)
    headings = re.findall(r"^## `(\w+)`$", text, re.MULTILINE)
    return {*headings, *re.findall(r"`(\w+)`", " ".join(first_cells))}


def test_every_event_is_documented() -> None:
    events = {*logged(), *IncidentKind.values}
    assert len(events) > 40
    assert events - documented() == set()
    assert documented() - events == set()
