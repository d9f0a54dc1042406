"""A contact on its way through a slice: what was sent, what was found, what became of it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from contacts import payload
from contacts.payload import ContactError
from contacts.phone import is_e164
from core import codec, sql

_ABSENT = object()

IN_PAYLOAD = {"in": "payload"}
"""Kept in the place of a number that was sent. Should a client send this very object, it is found as well."""
_LONGEST_KEPT = 64
"""Characters of JSON: more than any number that was meant as one."""

_LISTS = """
SELECT id, phone_number, ARRAY(
    SELECT before.id FROM contacts_sendinglist AS before
    WHERE before.account_id = list.account_id AND before.phone_number = list.phone_number
        AND before.status = 'deleted'
) AS predecessors
FROM contacts_sendinglist AS list
WHERE account_id = %(account)s AND phone_number = ANY(%(numbers)s::text[]) AND status <> 'deleted'
"""


class Outcome(StrEnum):
    """What became of a contact (contract, "GET /jobs/<id>/results")."""

    CREATED = "created"
    """It is new on the list."""
    UPDATED = "updated"
    """It was on the list, and something of its data is new."""
    UNCHANGED = "unchanged"
    """It was on the list, as it is."""
    FAILED = "failed"
    """It stands in `errors`."""


class Entry(msgspec.Struct):
    """One contact of the batch. `error` set: it failed; until then `contact` is what is to be applied.

    A Struct of msgspec's, as is a payload's Contact: made and copied in a quarter of a dataclass's time.
    """

    index: int
    raw: bytes
    phone_as_sent: Any = _ABSENT
    contact: payload.Contact | None = None
    list_number: Any = None
    """As sent, also of a contact that fails."""
    use_journeys: bool = False
    """Whether it was asked for, also by a contact that fails."""
    list_id: int = 0
    error: ContactError | None = None
    outcome: Outcome = Outcome.FAILED
    contact_id: int | None = None
    list_contact_id: int | None = None
    enrolled: int = 0
    validation: dict[str, Any] | None = None
    """What paid validation said, in the contract's words, where it was asked for and answered."""

    def error_entry(self, *, whole: bool = True) -> dict[str, Any]:
        """The entry of `errors` (contract, "What one contact can fail with").

        Not `whole`: what is too long for a number is left out (IN_PAYLOAD), since the slice's payload holds
        it: whatever a contact sends is kept once.
        """
        error = self.error or ContactError("internal_error", "The contact could not be processed")
        sent = {} if self.phone_as_sent is _ABSENT else {"phone_number": self.phone_as_sent}
        if not whole and sent and len(codec.dumps(self.phone_as_sent)) > _LONGEST_KEPT:
            sent = {"phone_number": IN_PAYLOAD}
        return {"index": self.index, **sent, "code": error.code, "error": error.message, **error.more}

    def result(self) -> list[Any]:
        """The row of the slice's `results`."""
        row = [self.index, self.outcome, self.contact_id, self.list_contact_id, self.enrolled]
        return row if self.validation is None else [*row, self.validation]


def read(index: int, raw: bytes) -> Entry:
    """Decode and check one contact. Never raises for what a client can send."""
    entry = Entry(index, raw)
    if (plain := payload.parse_plain(raw)) is not None:
        entry.contact, entry.phone_as_sent = plain, plain.phone_number
        entry.list_number, entry.use_journeys = plain.list_number, plain.use_journeys
        return entry
    if payload.is_too_deep(raw):
        entry.error = ContactError("invalid_contact", "The contact is nested too deeply")
        return entry
    value = payload.decode(raw)
    if isinstance(value, dict):
        entry.use_journeys = value.get("use_journeys") is True
        entry.list_number = value.get("list_number")
        entry.phone_as_sent = _as_sent(raw, value).get("phone_number", _ABSENT)
    try:
        entry.contact = payload.parse(raw, value)
    except ContactError as error:
        entry.error = error.bare()
    return entry


def numbers_as_sent(raw: bytes) -> dict[str, Any]:
    """`phone_number` and `list_number` of a contact as sent, whatever they are; without what is absent."""
    value = None if payload.is_too_deep(raw) else payload.decode(raw)
    return _as_sent(raw, value) if isinstance(value, dict) else {}


def _as_sent(raw: bytes, value: dict[str, Any]) -> dict[str, Any]:
    sent: dict[str, Any] = {name: value[name] for name in ("phone_number", "list_number") if name in value}
    if len(raw) <= payload.MAX_CONTACT_BYTES:
        return sent
    # Of a contact over the limit the number may be what is too large; it is not sent back and forth.
    return {
        name: number for name, number in sent.items() if len(codec.dumps(number)) <= payload.MAX_CONTACT_BYTES
    }


Predecessors = dict[int, list[int]]
"""By list id: the deleted lists of the same account and number, if there are any."""


def find_lists(account_id: int, entries: Iterable[Entry]) -> Predecessors:
    """Set each entry's list, or `list_not_found` where the account has no such list. One query.

    Returns the predecessors of the lists: an opt-out from one holds on its successor (contract, "Made
    precise").
    """
    named = [(entry, entry.list_number) for entry in entries if isinstance(entry.list_number, str)]
    wanted = filter(is_e164, {number for _, number in named})
    found = sql.rows(_LISTS, {"account": account_id, "numbers": sql.array(wanted)})
    ids = {row["phone_number"]: row["id"] for row in found}
    for entry, number in named:
        entry.list_id = ids.get(number, 0)
        if not entry.list_id and entry.error is None:
            entry.error = ContactError("list_not_found", "No sending list with this list_number exists")
    return {row["id"]: row["predecessors"] for row in found if row["predecessors"]}


def alive(entries: Iterable[Entry]) -> list[tuple[Entry, payload.Contact]]:
    """The entries that have not failed, each with its contact."""
    return [(entry, entry.contact) for entry in entries if entry.error is None and entry.contact is not None]
