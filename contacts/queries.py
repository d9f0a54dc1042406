"""What the API reads of contacts and lists, always for an account: nobody else's is found."""

from collections.abc import Sequence
from typing import Any

from contacts import tally
from contacts.models import ListContact, ListStatus, SendingList
from trackly import sql
from trackly.accounts.models import Account
from trackly.api import json
from trackly.api.query import Page

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
_ACTIVE = {None: "", True: "AND unsubscribed_at IS NULL", False: "AND unsubscribed_at IS NOT NULL"}


def visible_lists(account: Account) -> "list[SendingList]":
    """The account's lists that are not deleted, the oldest first."""
    return list(account.sending_lists.exclude(status=ListStatus.DELETED).order_by("pk"))


def members(
    lists: Sequence[SendingList], *, active: bool | None, page: Page
) -> tuple[list[dict[str, Any]], int]:
    """A page of the lists' members, newest signup first, and how many there are on all pages.

    `active`: only those who are subscribed, or only those who are not; None: both.
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
    ids = [row["id"] for row in sql.rows(_PAGE.format(active=_ACTIVE[active]), where)]
    found = ListContact.objects.select_related("contact", "sending_list").in_bulk(ids)
    return [describe(found[member_id]) for member_id in ids if member_id in found], total


def _count(tallied: tally.Tally, *, active: bool | None) -> int:
    return {None: tallied.members, True: tallied.active, False: tallied.members - tallied.active}[active]


def describe(member: ListContact) -> dict[str, Any]:
    """An entry of `GET /contacts` (contract, "The rest")."""
    contact = member.contact
    return {
        "phone_number": contact.phone_number,
        "list_number": member.sending_list.phone_number,
        "active": member.unsubscribed_at is None,
        "signup_date": json.moment(member.signup_date),
        "signup_method": member.signup_method,
        "custom_fields": member.custom_fields,
        "carrier": contact.carrier,
        "line_type": contact.line_type,
        "timezone": contact.time_zone,
        "is_valid": contact.can_receive,
    }


def describe_list(made: SendingList, tallied: tally.Tally) -> dict[str, Any]:
    """An entry of `GET /lists`. `contact_count`: all its members, whether subscribed or not."""
    return {
        "id": made.pk,
        "phone_number": made.phone_number,
        "brand_name": made.brand_name,
        "list_name": made.list_name,
        "status": made.status,
        "contact_count": tallied.members,
        "created_at": json.moment(made.created_at),
    }
