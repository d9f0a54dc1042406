"""Which journeys enroll which contacts: triggers, compiled once per slice, and the enrollment itself.

A journey enrolls a contact that joins one of the lists that its trigger asks membership of (any list of the
account, if it asks for none), provided that the whole trigger holds for the contact then.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from core import codec, sql
from journeys import conditions
from journeys.conditions import Check, ListTest, Person

logger = structlog.get_logger(__name__)

_ACTIVE = """
SELECT journey.id, journey.name, journey.version_id, journey.trigger::text, array_agg(list.id) AS lists
FROM contacts_sendinglist AS list JOIN journeys_journey AS journey ON journey.account_id = list.account_id
WHERE list.id = ANY(%(lists)s) AND journey.status = 'active'
    AND journey.trigger IS NOT NULL AND journey.version_id IS NOT NULL
GROUP BY journey.id ORDER BY journey.id
"""

# `+ 0`: by contact, as in ingestion.pipeline.apply.
_OTHER_LISTS = """
SELECT contact_id, array_agg(sending_list_id) AS lists FROM contacts_listcontact
WHERE contact_id = ANY(%(contacts)s::bigint[]) AND sending_list_id + 0 = ANY(%(lists)s::bigint[])
    AND unsubscribed_at IS NULL
GROUP BY contact_id
"""

_ENROLL = """
INSERT INTO journeys_enrollment (
    journey_id, version_id, list_contact_id, status, step, taken, due_at, attempts, enrolled_at
)
SELECT journey, version, list_contact, 'active', '', 0, now(), 0, now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (journey bigint, version bigint, list_contact bigint)
ORDER BY journey, list_contact  -- every transaction takes locks in this order: no deadlock
ON CONFLICT ON CONSTRAINT enrollment_once DO NOTHING
RETURNING journey_id, list_contact_id
"""

_ENROLLED = """
SELECT wanted.journey, wanted.member
FROM unnest(%(journeys)s::bigint[], %(members)s::bigint[]) AS wanted (journey, member), LATERAL (
    SELECT FROM journeys_enrollment
    WHERE journey_id = wanted.journey AND list_contact_id = wanted.member LIMIT 1
) AS found
"""

_LEAVE = """
UPDATE journeys_enrollment SET status = 'unsubscribed', ended_at = now(), claimed_at = NULL
WHERE list_contact_id = ANY(%(members)s) AND status = 'active'
"""


@dataclass(frozen=True)
class Greeting:
    """An active journey with its compiled trigger."""

    journey_id: int
    name: str
    version_id: int
    holds: Check
    named_lists: frozenset[int]
    """All lists that its trigger asks about."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A membership that asks for an enrollment."""

    list_contact_id: int
    contact_id: int
    list_id: int
    fields: Mapping[str, Any]


def greetings(list_ids: Iterable[int]) -> dict[int, list[Greeting]]:
    """The active journeys that joining each list may begin, by list id, oldest first. One query."""
    found: dict[int, list[Greeting]] = defaultdict(list)
    if not (wanted := set(list_ids)):
        return found
    for row in sql.rows(_ACTIVE, {"lists": list(wanted)}):
        try:
            trigger = conditions.read_trigger(codec.loads(row["trigger"].encode()))
        except msgspec.ValidationError as exc:  # not by the builder; one journey must not stop a batch
            logger.error("trigger_unreadable", journey=row["id"], error=str(exc))  # noqa: TRY400
            continue
        entrances = conditions.entrances(trigger)
        greeting = Greeting(
            journey_id=row["id"],
            name=row["name"],
            version_id=row["version_id"],
            holds=conditions.compiled(trigger),
            named_lists=frozenset(
                on for test in conditions.leaves(trigger) if isinstance(test, ListTest) for on in test.lists
            ),
        )
        for list_id in row["lists"]:
            if not entrances or list_id in entrances:
                found[list_id].append(greeting)
    return found


def enroll(newcomers: Sequence[Newcomer]) -> set[tuple[int, int]]:
    """Enroll each newcomer in the journeys whose trigger holds, unless the contact was enrolled before.

    Returns the new pairs of journey id and membership id. Three statements at most, whatever their number;
    call it inside the transaction that writes the memberships.
    """
    if not newcomers:
        return set()
    wanted = [
        {
            "journey": greeting.journey_id,
            "version": greeting.version_id,
            "list_contact": newcomer.list_contact_id,
        }
        for newcomer, greeting in _wanted(newcomers)
    ]
    if not wanted:
        return set()
    return set(sql.tuples(_ENROLL, {"rows": codec.encode(wanted).decode()}))


def would_enroll(newcomers: Sequence[Newcomer], active: Mapping[int, AbstractSet[int]]) -> int:
    """How many enrollments `enroll` would make, for a dry run.

    Memberships that don't exist yet have ids below zero. `active`: by contact, the lists that it is an active
    member of once the batch has taken effect; those that the batch does not name are read.
    """
    wanted = {
        (greeting.journey_id, newcomer.list_contact_id) for newcomer, greeting in _wanted(newcomers, active)
    }
    existing = [(journey, member) for journey, member in wanted if member > 0]
    journeys, members = (sql.array(pair[part] for pair in existing) for part in (0, 1))
    return len(wanted - set(sql.tuples(_ENROLLED, {"journeys": journeys, "members": members})))


def _wanted(
    newcomers: Sequence[Newcomer], active: Mapping[int, AbstractSet[int]] | None = None
) -> list[tuple[Newcomer, Greeting]]:
    """Each newcomer with the journeys whose trigger holds."""
    by_list = greetings(newcomer.list_id for newcomer in newcomers)
    lists = _lists_of(newcomers, by_list)
    found = []
    for newcomer in newcomers:
        on = {newcomer.list_id, *lists.get(newcomer.contact_id, ())}
        person = Person(newcomer.fields, on | active.get(newcomer.contact_id, set()) if active else on)
        found += [
            (newcomer, greeting) for greeting in by_list.get(newcomer.list_id, ()) if greeting.holds(person)
        ]
    return found


def _lists_of(
    newcomers: Sequence[Newcomer], by_list: Mapping[int, Sequence[Greeting]]
) -> dict[int, list[int]]:
    """Of the lists that matter beside the joined one: which each contact is an active member of."""
    asked = {
        (contact, other)
        for contact, joined in {(newcomer.contact_id, newcomer.list_id) for newcomer in newcomers}
        for greeting in by_list.get(joined, ())
        for other in greeting.named_lists
        if other != joined
    }
    if not asked:
        return {}
    contacts, lists = (sql.array(set(ids)) for ids in zip(*asked, strict=True))
    found = sql.rows(_OTHER_LISTS, {"contacts": contacts, "lists": lists})
    return {row["contact_id"]: row["lists"] for row in found}


def leave(list_contact_ids: Sequence[int]) -> None:
    """End all journeys of memberships that have opted out. Call it in the transaction that opts them out."""
    sql.rows(_LEAVE, {"members": list(list_contact_ids)})
