"""Statements on contacts, set by set: look up, insert, lock, verify. Call them in a transaction.

Every transaction inserts and locks contacts in the order of their numbers, so that two that want the same
contacts wait for each other instead of deadlocking.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from contacts.facts import Facts
from contacts.models import LineType
from core import codec, sql

# A thousand numbers have a handful of facts between them: each is sent once, and a number says which it has.
_INPUT = """
unnest(%(numbers)s::text[], %(which)s::int[]) AS input (phone_number, which)
JOIN jsonb_to_recordset(%(facts)s::jsonb) AS known (
    which int, carrier text, line_type text, time_zone text, can_receive boolean, verified boolean,
    reason text
) USING (which)
"""

_INSERT = f"""
INSERT INTO contacts_contact (
    phone_number, carrier, line_type, time_zone, can_receive, verified_at, created_at,
    not_sendable_reason
)
SELECT phone_number, carrier, line_type, time_zone, can_receive, CASE WHEN verified THEN now() END, now(),
    reason
FROM {_INPUT}
ORDER BY phone_number
ON CONFLICT (phone_number) DO NOTHING
RETURNING phone_number, id
"""

# Without FOR NO KEY UPDATE a foreign key's check (FOR KEY SHARE) by a third party would have to wait.
_LOCK = """
SELECT phone_number, id FROM contacts_contact
WHERE phone_number = ANY(%(numbers)s::text[])
ORDER BY phone_number
FOR NO KEY UPDATE
"""

_KNOWN = """
SELECT id, phone_number, verified_at IS NOT NULL AND verified_at > %(good_since)s,
       line_type, can_receive, carrier, time_zone, not_sendable_reason
FROM contacts_contact WHERE phone_number = ANY(%(numbers)s::text[])
"""

# The same work whether a number is a contact of another account's or of none: its time must not tell. LIMIT
# keeps the planner from reading all contacts, or all members of the account, beside the numbers.
_KNOWN_TO_ACCOUNT = """
SELECT contact.id, contact.phone_number,
       contact.verified_at IS NOT NULL AND contact.verified_at > %(good_since)s,
       contact.line_type, contact.can_receive, contact.carrier, contact.time_zone,
       contact.not_sendable_reason, own.is_own IS NOT NULL
FROM unnest(%(numbers)s::text[]) AS input (phone_number)
LEFT JOIN LATERAL (
    SELECT * FROM contacts_contact WHERE contacts_contact.phone_number = input.phone_number LIMIT 1
) AS contact ON true
LEFT JOIN LATERAL (
    SELECT true AS is_own FROM contacts_listcontact AS member
    JOIN contacts_sendinglist AS list ON list.id = member.sending_list_id
    WHERE member.contact_id = COALESCE(contact.id, 0) AND list.account_id = %(account)s
    LIMIT 1
) AS own ON true
"""

_VERIFY = f"""
UPDATE contacts_contact AS contact
SET carrier = known.carrier, line_type = known.line_type, time_zone = known.time_zone,
    can_receive = known.can_receive, not_sendable_reason = known.reason, verified_at = now()
FROM {_INPUT}
WHERE contact.phone_number = input.phone_number
"""


_LINE_TYPES = {line_type.value: line_type for line_type in LineType}


def known(phone_numbers: Iterable[str], good_since: datetime) -> tuple[dict[str, int], dict[str, Facts]]:
    """The contacts of these numbers: their ids, and the facts that were verified after `good_since`."""
    parameters = {"numbers": sql.array(phone_numbers), "good_since": good_since}
    return _known(sql.tuples(_KNOWN, parameters))


def known_to_account(
    account_id: int, phone_numbers: Iterable[str], good_since: datetime
) -> tuple[dict[str, int], dict[str, Facts]]:
    """`known`, of those numbers alone that are or were on a list of the account's."""
    parameters = {"account": account_id, "numbers": sql.array(phone_numbers), "good_since": good_since}
    return _known([row for *row, is_own in sql.tuples(_KNOWN_TO_ACCOUNT, parameters) if is_own])


def _known(found: Iterable[Sequence[Any]]) -> tuple[dict[str, int], dict[str, Facts]]:
    ids: dict[str, int] = {}
    facts: dict[str, Facts] = {}
    for contact, number, is_fresh, line_type, *others in found:
        ids[number] = contact
        if is_fresh:
            facts[number] = Facts(_LINE_TYPES[line_type], *others)
    return ids, facts


def insert(facts: Mapping[str, Facts]) -> dict[str, int]:
    """Make a contact of each number that is none yet; the ids of those that were made, by number."""
    return _ids(_INSERT, _input(facts))


def lock(phone_numbers: Iterable[str]) -> dict[str, int]:
    """Lock the contacts of these numbers until the transaction ends; their ids, by number."""
    return _ids(_LOCK, {"numbers": sql.array(phone_numbers)})


def verify(facts: Mapping[str, Facts]) -> None:
    """Store new facts of contacts that the caller has locked."""
    sql.rows(_VERIFY, _input(facts))


def _ids(statement: str, parameters: dict[str, object]) -> dict[str, int]:
    return dict(sql.tuples(statement, parameters))


def _input(facts: Mapping[str, Facts]) -> dict[str, object]:
    """The parameters of _INPUT."""
    different = {known: which for which, known in enumerate(dict.fromkeys(facts.values()))}
    described = [
        {
            "which": which,
            "carrier": known.carrier,
            "line_type": known.line_type,
            "time_zone": known.time_zone,
            "can_receive": known.can_receive,
            "verified": known.verified,
            "reason": known.reason,
        }
        for known, which in different.items()
    ]
    return {
        "numbers": sql.array(facts),
        "which": sql.array(different[known] for known in facts.values()),
        "facts": codec.encode(described).decode(),
    }
