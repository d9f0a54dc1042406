"""How many members a list has, without counting them (contacts.models.ListTally)."""

from collections.abc import Iterable
from typing import NamedTuple

from django.db import transaction
from django.db.models import Sum

from contacts.models import ListTally
from core import sql

_ADD_UP = """
WITH gone AS (
    DELETE FROM contacts_listtally
    WHERE sending_list_id IN (
        SELECT sending_list_id FROM contacts_listtally GROUP BY sending_list_id HAVING count(*) > %(rows)s
    )
    RETURNING sending_list_id, members, active
)
INSERT INTO contacts_listtally (sending_list_id, members, active)
SELECT sending_list_id, sum(members), sum(active) FROM gone GROUP BY sending_list_id
"""
_ROWS_OF_A_LIST = 20
"""Fewer are not worth adding up."""


class Tally(NamedTuple):
    members: int
    active: int


def of_lists(list_ids: Iterable[int]) -> dict[int, Tally]:
    """Each list's number of members, and of subscribed members. One query."""
    wanted = list(list_ids)
    sums = (
        ListTally.objects.filter(sending_list_id__in=wanted)
        .values("sending_list_id")
        .annotate(members_sum=Sum("members"), active_sum=Sum("active"))
    )
    found = {row["sending_list_id"]: Tally(row["members_sum"], row["active_sum"]) for row in sums}
    return {list_id: found.get(list_id, Tally(0, 0)) for list_id in wanted}


def add_up() -> None:
    """Make one row of the many that the triggers append. By the sweep; two at once take a row once."""
    with transaction.atomic():
        sql.rows(_ADD_UP, {"rows": _ROWS_OF_A_LIST})
