"""Statements on contacts, set by set: insert, lock, verify. Call them in a transaction.

Everybody inserts and locks contacts in the order of their numbers, so that two who want the same ones wait
for each other instead of deadlocking.
"""

from collections.abc import Iterable, Mapping

from contacts.carriers.facts import Facts
from trackly import sql
from trackly.api import json

_COLUMNS = (
    "phone_number text, carrier text, line_type text, time_zone text, can_receive boolean, verified boolean"
)

_INSERT = f"""
INSERT INTO contacts_contact (
    phone_number, carrier, line_type, time_zone, can_receive, verified_at, created_at
)
SELECT phone_number, carrier, line_type, time_zone, can_receive, CASE WHEN verified THEN now() END, now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input ({_COLUMNS})
ORDER BY phone_number
ON CONFLICT (phone_number) DO NOTHING
RETURNING id, phone_number
"""  # noqa: S608 - constants

# Without FOR NO KEY UPDATE a foreign key's check (FOR KEY SHARE) by a third party would have to wait.
_LOCK = """
SELECT id, phone_number FROM contacts_contact
WHERE phone_number = ANY(%(numbers)s)
ORDER BY phone_number
FOR NO KEY UPDATE
"""

_VERIFY = f"""
UPDATE contacts_contact AS contact
SET carrier = input.carrier, line_type = input.line_type, time_zone = input.time_zone,
    can_receive = input.can_receive, verified_at = now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input ({_COLUMNS})
WHERE contact.phone_number = input.phone_number
"""  # noqa: S608 - constants


def insert(facts: Mapping[str, Facts]) -> dict[str, int]:
    """Make a contact of each number that is none yet; the ids of those that were made, by number."""
    return _ids(_INSERT, {"rows": _rows(facts)})


def lock(phone_numbers: Iterable[str]) -> dict[str, int]:
    """Lock the contacts of these numbers until the transaction ends; their ids, by number."""
    return _ids(_LOCK, {"numbers": list(phone_numbers)})


def verify(facts: Mapping[str, Facts]) -> None:
    """Store new facts of contacts that the caller has locked."""
    sql.rows(_VERIFY, {"rows": _rows(facts)})


def _ids(statement: str, parameters: dict[str, object]) -> dict[str, int]:
    return {row["phone_number"]: row["id"] for row in sql.rows(statement, parameters)}


def _rows(facts: Mapping[str, Facts]) -> str:
    rows = [
        {
            "phone_number": number,
            "carrier": known.carrier,
            "line_type": known.line_type,
            "time_zone": known.time_zone,
            "can_receive": known.can_receive,
            "verified": known.verified,
        }
        for number, known in facts.items()
    ]
    return json.encode(rows).decode()
