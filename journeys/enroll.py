"""Which journeys a list's new members are enrolled in, and the enrollment itself."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db.models import F

from journeys.models import Journey, JourneyStatus
from trackly import sql
from trackly.api import json

_ENROLL = """
INSERT INTO journeys_enrollment (journey_id, list_contact_id, status, enrolled_at)
SELECT journey, list_contact, 'active', now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (journey bigint, list_contact bigint)
ORDER BY journey, list_contact  -- one order for everybody, so that nobody deadlocks
ON CONFLICT ON CONSTRAINT enrollment_once DO NOTHING
RETURNING journey_id, list_contact_id
"""


def active_journeys(list_ids: Iterable[int]) -> dict[int, list[Journey]]:
    """The active journeys that each list triggers, by list id, oldest first. One query."""
    ids = set(list_ids)
    found: dict[int, list[Journey]] = defaultdict(list)
    through = Journey.lists.through.objects.filter(
        sendinglist_id__in=ids,
        journey__status=JourneyStatus.ACTIVE,
        journey__account=F("sendinglist__account"),  # a list of another account triggers nothing
    ).select_related("journey")
    for row in through.order_by("journey_id"):
        found[row.sendinglist_id].append(row.journey)
    return found


def enroll(pairs: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Enroll each (journey id, membership id) that never was; returns the pairs that are new.

    One statement; call it inside the transaction that writes the memberships.
    """
    if not pairs:
        return set()
    wanted = [{"journey": journey, "list_contact": member} for journey, member in pairs]
    made = sql.rows(_ENROLL, {"rows": json.encode(wanted).decode()})
    return {(row["journey_id"], row["list_contact_id"]) for row in made}
