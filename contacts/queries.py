"""What the API reads of contacts and lists, always one account's: another's are not found."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings

from accounts.models import Account
from contacts import tally
from contacts.models import ListStatus, SendingList
from core import codec, sql
from core.http.query import Page

# The page's ids come from the index of each list alone (list_contact_newest), merged by date; only then are
# the page's own rows fetched. One statement for any number of lists: an account can make as many as it likes.
_PAGE = """
SELECT member.id
FROM unnest(%(lists)s::bigint[]) AS lists (id),
LATERAL (
    SELECT id, signup_date FROM contacts_listcontact
    WHERE sending_list_id = lists.id {active}
    ORDER BY signup_date DESC, id DESC LIMIT %(reach)s
) AS member
ORDER BY member.signup_date DESC, member.id DESC LIMIT %(size)s OFFSET %(offset)s
"""
# Custom fields leave as the text that the database makes of them, and no more rows come at a time than have
# so many bytes of it: a membership's may be 16 KB, and of any size from before there was a bound.
_ENTRIES = """
WITH entry AS MATERIALIZED (
    SELECT wanted.position, contact.phone_number, list.phone_number AS list_number,
           member.unsubscribed_at IS NULL AS active, member.signup_date, member.signup_method,
           member.custom_fields::text AS custom_fields, contact.carrier, contact.line_type,
           contact.time_zone AS timezone, contact.can_receive AS is_valid
    FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS wanted (id, position)
    JOIN contacts_listcontact AS member ON member.id = wanted.id
    JOIN contacts_contact AS contact ON contact.id = member.contact_id
    JOIN contacts_sendinglist AS list ON list.id = member.sending_list_id
), counted AS (
    SELECT *,
           sum(octet_length(custom_fields)) OVER (ORDER BY position) - octet_length(custom_fields) AS before
    FROM entry
)
SELECT * FROM counted WHERE before < %(budget)s ORDER BY position
"""
_AT_ONCE = 200
"""Rows of one statement at most."""

_MEMBERSHIPS = """
SELECT member.id
FROM contacts_contact AS contact
JOIN contacts_listcontact AS member ON member.contact_id = contact.id
JOIN contacts_sendinglist AS list ON list.id = member.sending_list_id
WHERE contact.phone_number = %(number)s AND list.account_id = %(account)s AND list.status <> 'deleted'
ORDER BY member.signup_date DESC, member.id DESC
"""
_ACTIVE = {None: "", True: "AND unsubscribed_at IS NULL", False: "AND unsubscribed_at IS NOT NULL"}


def visible_lists(account: Account) -> "list[SendingList]":
    """The account's lists that are not deleted, the oldest first."""
    return list(account.sending_lists.exclude(status=ListStatus.DELETED).order_by("pk"))


def members(lists: Sequence[SendingList], *, active: bool | None, page: Page) -> tuple[list[int], int]:
    """A page of the lists' members, newest signup first: their ids, and how many there are on all pages.

    `active`: only subscribed members (True), only unsubscribed ones (False), or both (None).
    """
    total = sum(
        _count(tallied, active=active) for tallied in tally.of_lists(made.pk for made in lists).values()
    )
    if page.offset >= total:
        return [], total
    where = {
        "lists": [made.pk for made in lists],
        "size": page.per_page,
        "offset": page.offset,
        "reach": page.offset + page.per_page,
    }
    return [row["id"] for row in sql.rows(_PAGE.format(active=_ACTIVE[active]), where)], total


def memberships(account: Account, phone_number: str) -> list[int]:
    """The ids of the contact's memberships on this account's lists, newest signup first."""
    return [row["id"] for row in sql.rows(_MEMBERSHIPS, {"account": account.pk, "number": phone_number})]


def _count(tallied: tally.Tally, *, active: bool | None) -> int:
    return {None: tallied.members, True: tallied.active, False: tallied.members - tallied.active}[active]


def entries(ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    """An entry of `GET /contacts` (contract, "The rest") for each membership that is still there, in order.

    They are fetched when they are needed, some TRACKLY_PAGE_MEMORY bytes of custom fields at a time.
    """
    begun = 0
    while some := ids[begun : begun + _AT_ONCE]:
        found = sql.rows(_ENTRIES, {"ids": sql.array(some), "budget": settings.TRACKLY_PAGE_MEMORY})
        if not found:  # all of them are gone
            begun += len(some)
            continue
        last = found[-1]["position"]
        for row in found:
            del row["position"], row["before"]
            row["signup_date"] = codec.moment(row["signup_date"])
            row["custom_fields"] = codec.Raw(row["custom_fields"].encode())
            yield row
        begun += last


def describe_list(made: SendingList, tallied: tally.Tally) -> dict[str, Any]:
    """An entry of `GET /lists`. `contact_count`: all its members, whether subscribed or not."""
    return {
        "id": made.pk,
        "phone_number": made.phone_number,
        "brand_name": made.brand_name,
        "list_name": made.list_name,
        "status": made.status,
        "contact_count": tallied.members,
        "created_at": codec.moment(made.created_at),
    }
