"""How much a membership's custom fields may hold once they are merged (contract, "Made precise")."""

from collections.abc import Iterable, Mapping
from typing import Any

from contacts import payload
from contacts.fields import MAX_FIELD_NAMES
from contacts.payload import ContactError
from core import codec, sql
from ingestion.pipeline.entries import Entry, alive

MAX_BYTES = 16_384
"""Of their JSON, without spaces."""

_STORED = """
SELECT contact_id, sending_list_id, custom_fields::text FROM contacts_listcontact
WHERE contact_id = ANY(%(contacts)s::bigint[]) AND sending_list_id + 0 = ANY(%(lists)s::bigint[])
"""


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Their JSON, the same for equal fields. Python takes 1, 1.0 and True for equal; their JSON does not."""
    return codec.encode(fields, order="sorted") if fields else b"{}"


def merged(stored: Mapping[str, Any] | None, contact: payload.Contact) -> dict[str, Any]:
    """A membership's custom fields after this contact."""
    kept = {} if contact.replace_custom_fields else stored or {}
    return {**kept, **contact.custom_fields}


def overflow(fields: Mapping[str, Any], encoded: bytes) -> ContactError | None:
    """The error of a contact that would make a membership's fields these; None if they are not too many."""
    if len(encoded) > MAX_BYTES:
        message = f"custom_fields would exceed {MAX_BYTES:,} bytes with what the membership has"
    elif len(fields) > MAX_FIELD_NAMES:
        message = f"custom_fields would exceed {MAX_FIELD_NAMES} names with what the membership has"
    else:
        return None
    return ContactError("invalid_field", message, field="custom_fields")


def reject_overflow(entries: Iterable[Entry], contact_ids: Mapping[str, int]) -> None:
    """Fail entries that ask for paid validation and whose fields would not fit: before they cost anything.

    The decision for all entries falls when they are applied, under the memberships' locks.
    """
    paying = [
        (entry, contact, contact_ids[contact.phone_number])
        for entry, contact in alive(entries)
        if contact.use_validation and contact.custom_fields and contact.phone_number in contact_ids
    ]
    if not paying:
        return
    parameters = {
        "contacts": sql.array({contact_id for *_, contact_id in paying}),
        "lists": sql.array({entry.list_id for entry, *_ in paying}),
    }
    stored = {(row[0], row[1]): payload.decode(row[2].encode()) for row in sql.tuples(_STORED, parameters)}
    for entry, contact, contact_id in paying:
        fields = merged(stored.get((contact_id, entry.list_id)), contact)
        entry.error = overflow(fields, canonical(fields))
