"""A set of claimed enrollments goes on: what their steps do commits together, with where they stand then.

Runs any number of times, also at once, and takes effect once: whether an enrollment is due is checked under
its row's lock. The contacts are locked first and in the order of their numbers, as in every transaction that
writes memberships.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import structlog

from contacts import payload
from core import codec, sql
from journeys import clock, opt_out
from journeys.conditions import Event, HappenedTest, ListTest, Person, leaves
from journeys.engine.claim import MOST_ATTEMPTS
from journeys.engine.run import EnrollmentContext, Transition, step_until_blocked
from journeys.models import EnrollmentStatus, JourneyStatus, JourneyVersion
from journeys.steps import Condition, Plan
from journeys.text import segments

logger = structlog.get_logger(__name__)

# As contacts.rows.lock does it.
_LOCK = """
SELECT id FROM contacts_contact
WHERE id IN (
    SELECT member.contact_id FROM journeys_enrollment AS enrollment
    JOIN contacts_listcontact AS member ON member.id = enrollment.list_contact_id
    WHERE enrollment.id = ANY(%(ids)s)
)
ORDER BY phone_number
FOR NO KEY UPDATE
"""

_TAKE = """
SELECT enrollment.id, enrollment.version_id, enrollment.step, enrollment.taken, enrollment.enrolled_at,
       enrollment.attempts, enrollment.list_contact_id, journey.status AS journey_status,
       member.custom_fields::text, member.unsubscribed_at, member.contact_id,
       contact.phone_number, contact.time_zone, contact.can_receive,
       list.phone_number AS list_number, list.list_name, list.brand_name, list.id AS list_id,
       list.status = 'deleted' AS list_deleted,
       list.status <> 'active' OR account.suspended_at IS NOT NULL AS on_hold
FROM journeys_enrollment AS enrollment
JOIN journeys_journey AS journey ON journey.id = enrollment.journey_id
JOIN accounts_account AS account ON account.id = journey.account_id
JOIN contacts_listcontact AS member ON member.id = enrollment.list_contact_id
JOIN contacts_contact AS contact ON contact.id = member.contact_id
JOIN contacts_sendinglist AS list ON list.id = member.sending_list_id
WHERE enrollment.id = ANY(%(ids)s) AND enrollment.status = 'active'
    AND enrollment.claimed_at IS NOT NULL AND enrollment.due_at <= %(now)s
ORDER BY enrollment.id
FOR UPDATE OF enrollment SKIP LOCKED
"""

# Committed before the work, so that it counts whatever the work does to the worker.
_BEGIN = """
UPDATE journeys_enrollment SET attempts = LEAST(attempts + 1, 100)
WHERE id = ANY(%(ids)s) AND status = 'active' AND claimed_at IS NOT NULL AND due_at <= %(now)s
"""

_LISTS = """
SELECT contact_id, sending_list_id, created_at FROM contacts_listcontact
WHERE contact_id = ANY(%(contacts)s) AND sending_list_id = ANY(%(lists)s) AND unsubscribed_at IS NULL
"""

_HAPPENED = """
SELECT enrollment_id, status, step FROM journeys_outboundmessage
WHERE enrollment_id = ANY(%(ids)s) AND status IN ('sent', 'failed')
"""

_VISITS = """
INSERT INTO journeys_visit (enrollment_id, number, version_id, step, note, at)
SELECT enrollment, number, version, step, note, %(now)s
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (
    enrollment bigint, number int, version bigint, step text, note text
)
"""

_MESSAGES = """
INSERT INTO journeys_outboundmessage (
    enrollment_id, number, step, list_contact_id, text, segments, encoding, status, due_at, attempts, gateway,
    gateway_id, error, created_at
)
SELECT enrollment, number, step, member, text, segments, encoding, 'queued', %(now)s, 0, '', '', '', %(now)s
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (
    enrollment bigint, number int, step text, member bigint, text text, segments int, encoding text
)
"""

# Two enrollments of one membership may set fields in the same set: the later one's count.
_FIELDS = """
UPDATE contacts_listcontact AS member
SET custom_fields = member.custom_fields || input.fields, updated_at = now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (member bigint, fields jsonb)
WHERE member.id = input.member
"""

_MOVE = """
UPDATE journeys_enrollment AS enrollment
SET status = input.status, step = input.step, taken = input.taken, claimed_at = NULL, attempts = 0,
    due_at = COALESCE(input.due_at, enrollment.due_at),
    ended_at = CASE WHEN input.status <> 'active' THEN %(now)s::timestamptz END
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (
    id bigint, status text, step text, taken int, due_at timestamptz
)
WHERE enrollment.id = input.id
"""


def advance(ids: Sequence[int], now: datetime) -> tuple[int, int]:
    """Let claimed enrollments go on that are due by `now`; how many went on, and how many messages they made.

    One that raises does not keep the others from it: it stays claimed, and is tried again by itself when the
    claim has grown old.
    """
    begin(ids, now)
    try:
        return sql.retry_on_conflict(lambda: _advance(ids, now))
    except Exception as exc:
        logger.warning("set_raised", enrollments=len(ids), exc_info=exc)
    moved = made = 0
    for one in ids:
        try:
            more = sql.retry_on_conflict(partial(_advance, [one], now))
        except Exception:
            logger.exception("enrollment_raised", enrollment=one)
        else:
            moved, made = moved + more[0], made + more[1]
    return moved, made


def begin(ids: Sequence[int], now: datetime) -> None:
    """Count an attempt at each of them."""

    def count() -> None:
        sql.prefer_indexes()
        sql.rows(_BEGIN, {"ids": list(ids), "now": now})

    sql.retry_on_conflict(count)


def _advance(ids: Sequence[int], now: datetime) -> tuple[int, int]:
    sql.prefer_indexes()
    sql.rows(_LOCK, {"ids": list(ids)})
    taken = sql.rows(_TAKE, {"ids": list(ids), "now": now})
    if not taken:
        return 0, 0
    quiet = clock.quiet_hours()
    moves: list[tuple[dict[str, Any], Transition]] = []
    fields: dict[int, dict[str, str]] = {}
    ends = {row["id"]: end for row in taken if (end := _early_end(row))}
    persons = _persons([row for row in taken if row["id"] not in ends])
    for row in taken:
        if row["id"] in ends:
            moves.append((row, ends[row["id"]]))
            continue
        traveller = _traveller(row, persons[row["id"]], now)
        earlier = fields.get(row["list_contact_id"])
        if earlier:
            traveller.person.fields = {**traveller.person.fields, **earlier}
        progress = step_until_blocked(plan_of(row["version_id"]), traveller, now, quiet)
        moves.append((row, progress))
        if progress.fields:
            fields[row["list_contact_id"]] = {**(earlier or {}), **progress.fields}
    return len(moves), _write(moves, fields, now)


@lru_cache(maxsize=256)
def plan_of(version_id: int) -> Plan:
    """The steps of a version, which never changes."""
    return JourneyVersion.objects.get(pk=version_id).plan


def _early_end(row: Mapping[str, Any]) -> Transition | None:
    """How an enrollment ends that takes no further step, whatever its next one is; None: it goes on."""
    if row["unsubscribed_at"] is not None:
        return Transition(status=EnrollmentStatus.UNSUBSCRIBED, step=row["step"])
    if row["journey_status"] == JourneyStatus.ARCHIVED or row["list_deleted"]:
        return Transition(status=EnrollmentStatus.STOPPED, step=row["step"])
    if row["attempts"] > MOST_ATTEMPTS:
        return Transition(status=EnrollmentStatus.FAILED, step=row["step"])
    return None


def _traveller(row: Mapping[str, Any], person: Person, now: datetime) -> EnrollmentContext:
    return EnrollmentContext(
        step=row["step"],
        enrolled_at=row["enrolled_at"],
        where=clock.zone(row["time_zone"]),
        zones=clock.zones(row["phone_number"], row["time_zone"]),
        person=person,
        known={name: row[name] for name in ("phone_number", "list_number", "list_name", "brand_name")},
        reachable=row["can_receive"],
        on_hold=now + clock.HOLD if row["on_hold"] else None,
    )


def _persons(taken: Sequence[Mapping[str, Any]]) -> dict[int, Person]:
    """What the tests of each enrollment's steps see. At most two queries, none if no step asks."""
    lists, asks_for_messages = set[int](), False
    for version_id in {row["version_id"] for row in taken}:
        for step in plan_of(version_id).steps:
            for test in leaves(step.test) if isinstance(step, Condition) else ():
                if isinstance(test, ListTest | HappenedTest):
                    lists.update(test.lists)
                asks_for_messages |= isinstance(test, HappenedTest) and test.event is not Event.JOINED
    joined: dict[int, list[tuple[int, datetime]]] = {}
    if lists:
        contacts = [row["contact_id"] for row in taken]
        for found in sql.rows(_LISTS, {"contacts": contacts, "lists": list(lists)}):
            joined.setdefault(found["contact_id"], []).append((found["sending_list_id"], found["created_at"]))
    happened: dict[int, set[tuple[str, str]]] = {}
    if asks_for_messages:
        for found in sql.rows(_HAPPENED, {"ids": [row["id"] for row in taken]}):
            happened.setdefault(found["enrollment_id"], set()).add((found["status"], found["step"]))
    return {
        row["id"]: Person(
            payload.decode(row["custom_fields"].encode()),
            {row["list_id"], *(on for on, _ in joined.get(row["contact_id"], ()))},
            happened.get(row["id"]),
            {on for on, since in joined.get(row["contact_id"], ()) if since > row["enrolled_at"]},
        )
        for row in taken
    }


def _write(
    moves: Sequence[tuple[Mapping[str, Any], Transition]], fields: Mapping[int, dict[str, str]], now: datetime
) -> int:
    """A fixed number of statements, whatever the number of enrollments; how many messages were made."""
    visits, messages, moved = [], [], []
    for row, progress in moves:
        for place, (step, note) in enumerate(progress.visits):
            visit = {"enrollment": row["id"], "number": row["taken"] + place + 1, "step": step}
            visits.append({**visit, "version": row["version_id"], "note": note})
        for place, text in progress.messages:
            size = segments(text)
            messages.append(
                {
                    "enrollment": row["id"],
                    "number": row["taken"] + place + 1,
                    "step": progress.visits[place][0],
                    "member": row["list_contact_id"],
                    "text": text,
                    "segments": size.count,
                    "encoding": size.encoding,
                }
            )
        moved.append(
            {
                "id": row["id"],
                "status": progress.status,
                "step": progress.step,
                "taken": row["taken"] + len(progress.visits),
                "due_at": progress.due_at,
            }
        )
    _many(_VISITS, visits, now)
    _many(_MESSAGES, messages, now)
    _many(_FIELDS, [{"member": member, "fields": changed} for member, changed in fields.items()], now)
    _many(_MOVE, moved, now)
    if leaving := [row["list_contact_id"] for row, progress in moves if progress.unsubscribes]:
        opt_out.opt_out(leaving)
    return len(messages)


def _many(statement: str, wanted: Sequence[Mapping[str, Any]], now: datetime) -> None:
    if wanted:
        sql.rows(statement, {"rows": codec.encode(wanted).decode(), "now": now})
