"""`GET /lists/<id>/contacts.csv`: a list's members, however many, in constant memory."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection

from contacts import evidence
from contacts.fields import EVIDENCE
from contacts.models import SendingList
from core import codec, sql
from core.http.spreadsheet import cell, line_writer

COLUMNS = (
    *("phone_number", "list_number", "active", "signup_date", "signup_method", "custom_fields", "carrier"),
    *("line_type", "timezone", "is_valid", "unsubscribed_at", *EVIDENCE),
)
"""Those of an entry of `GET /contacts`, then what an export needs besides: opt-out and consent evidence."""

# The next page begins where the last one ended, found by the index list_contact_newest: a cursor would hold
# its connection, and a transaction, for as long as the client cares to read.
# A page ends early where its texts are many bytes.
_PAGE = evidence.statement("""
WITH row AS MATERIALIZED (
    SELECT member.signup_date, member.id, contact.phone_number, member.unsubscribed_at, member.signup_method,
           member.custom_fields::text AS custom_fields, contact.carrier, contact.line_type, contact.time_zone,
           contact.can_receive, {selected}
    FROM contacts_listcontact AS member JOIN contacts_contact AS contact ON contact.id = member.contact_id
    WHERE member.sending_list_id = %(list)s AND (member.signup_date, member.id) < (%(date)s, %(id)s)
    ORDER BY member.signup_date DESC, member.id DESC
    LIMIT %(size)s
), counted AS (
    SELECT *, sum(octet_length(custom_fields)) OVER (ORDER BY signup_date DESC, id DESC)
        - octet_length(custom_fields) AS before
    FROM row
)
SELECT signup_date, id, phone_number, unsubscribed_at, signup_method, custom_fields, carrier, line_type,
       time_zone, can_receive, {columns}
FROM counted WHERE before < %(budget)s ORDER BY signup_date DESC, id DESC
""")
_PAGE_SIZE = 200
_BEYOND_ALL = (datetime.max.replace(tzinfo=UTC), 2**63 - 1)


def members_csv(made: SendingList) -> Iterator[str]:
    """The members as CSV, newest signup first, page by page; `custom_fields` as JSON.

    A page is of 200 members, or of TRACKLY_PAGE_MEMORY bytes of custom fields. Between two pages no
    connection to the database is held.
    """
    line = line_writer()
    yield line(COLUMNS)
    after = _BEYOND_ALL
    while page := _page(made.pk, after):
        yield "".join(line(_cells(made.phone_number, *row)) for row in page)
        after = page[-1][0], page[-1][1]


def _page(list_id: int, after: tuple[datetime, int]) -> list[tuple[Any, ...]]:
    where = {"list": list_id, "date": after[0], "id": after[1]}
    bounds = {"size": _PAGE_SIZE, "budget": settings.TRACKLY_PAGE_MEMORY}
    found = sql.tuples(_PAGE, {**where, **bounds})
    if not connection.in_atomic_block:
        connection.close()  # back to the pool
    return found


def _cells(
    list_number: str,
    signup_date: datetime,
    _id: int,
    phone_number: str,
    unsubscribed_at: datetime | None,
    *others: Any,
) -> Iterator[str]:
    """A member's cells, in the order of COLUMNS; empty for what is not there."""
    facts, of_consent = others[: -len(EVIDENCE)], others[-len(EVIDENCE) :]
    active, opted_out = unsubscribed_at is None, codec.moment(unsubscribed_at)
    values = (phone_number, list_number, active, codec.moment(signup_date), *facts, opted_out, *of_consent)
    return ("" if value is None else cell(value) for value in values)
