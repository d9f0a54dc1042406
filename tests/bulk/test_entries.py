"""An entry: what it remembers of a contact on its way."""

from dataclasses import fields

from contacts.bulk.entries import Entry


def test_a_copy_forgets_nothing() -> None:
    entry = Entry(3, b"{}")
    for field in fields(Entry):
        setattr(entry, field.name, field.name)
    assert entry.copy() == entry
    assert entry.copy() is not entry
