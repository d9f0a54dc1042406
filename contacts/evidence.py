"""The consent's evidence in the statements that write memberships: columns by the names of its fields."""

from collections.abc import Iterator
from typing import Any

import msgspec
from django.db import connection

from contacts.fields import EVIDENCE, NOT_SENT
from contacts.models import ListContact


def _types() -> Iterator[tuple[str, str]]:
    """Each field's name, and its column's type in PostgreSQL."""
    for name in EVIDENCE:
        yield name, ListContact._meta.get_field(name).db_type(connection) or ""


_PARTS = {
    "columns": ", ".join(EVIDENCE),
    "of_input": ", ".join(f"input.{name}" for name in EVIDENCE),
    "typed": ", ".join(f"{name} {type_}" for name, type_ in _types()),
    "selected": ", ".join(f"host({name}) AS {name}" if type_ == "inet" else name for name, type_ in _types()),
}
NONE = tuple(None if ListContact._meta.get_field(name).null else "" for name in EVIDENCE)
"""Of a membership without any, in the order of EVIDENCE."""


def statement(template: str) -> str:
    """The statement with the evidence's columns in it.

    `{columns}`: their names; `{selected}`: the same as texts, to be read; `{typed}`: with their types, for
    jsonb_to_recordset; `{of_input}`: of a row set with the name `input`.
    """
    return template.format(**_PARTS)


def first_of(stored: tuple[Any, ...], sent: tuple[Any, ...]) -> tuple[Any, ...]:
    """A membership's evidence after a contact: what it has stays, what it lacks is filled in."""
    if sent is NOT_SENT:
        return stored
    return tuple([before or now or none for before, now, none in zip(stored, sent, NONE, strict=True)])


def row(name: str, *columns: str) -> type[msgspec.Struct]:
    """The struct of a row for `{typed}`: the given columns, then the evidence's. Made by position."""
    return msgspec.defstruct(name, [*columns, *EVIDENCE], gc=False)
