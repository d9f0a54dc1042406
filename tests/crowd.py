"""Many enrollments at once, written by SQL: for benchmarks and fault runs of the journeys' engine."""

import json
from typing import Any

from psycopg import Connection

STEPS: list[dict[str, Any]] = [
    {"kind": "message", "id": "hello", "text": "Hi {{first_name|there}}, welcome!"},
    {"kind": "set_field", "id": "mark", "name": "greeted", "value": "yes"},
    {
        "kind": "condition",
        "id": "which",
        "test": {
            "kind": "all",
            "of": [{"kind": "field", "name": "plan", "operator": "eq", "values": ["gold"]}],
        },
        "yes": "wait",
        "no": "end",
    },
    {"kind": "wait", "id": "wait", "amount": 1, "unit": "days"},
]
"""Half of the crowd ends at once, the other half waits."""

_FILL = """
WITH made AS (
    INSERT INTO contacts_contact (phone_number, carrier, line_type, time_zone, can_receive, created_at)
    SELECT '+1650' || (2000000 + n), '', 'CELL PHONE', 'America/Los_Angeles', true, now()
    FROM generate_series(%(first)s, %(first)s + %(count)s - 1) AS n
    RETURNING id
), member AS (
    INSERT INTO contacts_listcontact (
        sending_list_id, contact_id, signup_date, signup_method, url, custom_fields, created_at, updated_at
    )
    SELECT %(list)s, id, now(), 'api', '',
           jsonb_build_object(
               'first_name', 'N' || id, 'plan', CASE id %% 2 WHEN 0 THEN 'gold' ELSE 'tin' END
           ), now(), now()
    FROM made RETURNING id
)
INSERT INTO journeys_enrollment (
    journey_id, version_id, list_contact_id, status, step, taken, due_at, attempts, enrolled_at
)
SELECT %(journey)s, %(version)s, id, 'active', '', 0, now(), 0, now() FROM member
"""

DIFFERENCES = {
    "enrollments that have not gone on": "SELECT count(*) FROM journeys_enrollment WHERE taken = 0",
    "enrollments in a worker's hands": (
        "SELECT count(*) FROM journeys_enrollment WHERE claimed_at IS NOT NULL AND status = 'active'"
    ),
    "enrollments whose steps are not theirs": (
        "SELECT count(*) FROM (SELECT e.id FROM journeys_enrollment e"
        " JOIN journeys_visit v ON v.enrollment_id = e.id"
        " GROUP BY e.id HAVING count(*) <> max(e.taken) OR max(v.number) <> max(e.taken)"
        " OR string_agg(v.step, ' ' ORDER BY v.number) <> CASE max(e.status) WHEN 'active'"
        " THEN 'hello mark which wait' ELSE 'hello mark which' END) AS wrong"
    ),
    "contacts that were not marked": (
        "SELECT count(*) FROM journeys_enrollment e JOIN contacts_listcontact m ON m.id = e.list_contact_id"
        " WHERE m.custom_fields ->> 'greeted' IS DISTINCT FROM 'yes'"
    ),
    "enrollments without their one message": (
        "SELECT count(*) FROM journeys_enrollment e"
        " WHERE (SELECT count(*) FROM journeys_outboundmessage o WHERE o.enrollment_id = e.id) <> 1"
    ),
    "messages that are not sent": "SELECT count(*) FROM journeys_outboundmessage WHERE status <> 'sent'",
}
"""What must be 0 once all are through, each by a query."""


def gather(connection: Connection[Any], list_id: int, count: int, *, first: int = 0) -> None:
    """Enroll `count` new contacts in a journey of STEPS of their own; all are due when it commits."""
    with connection.transaction():
        account = "SELECT account_id FROM contacts_sendinglist WHERE id = %s"
        journey = _one(
            connection,
            "INSERT INTO journeys_journey (account_id, name, status, revision, created_at)"
            f" VALUES (({account}), 'Crowd', 'draft', 0, now()) RETURNING id",
            list_id,
        )
        version = _one(
            connection,
            "INSERT INTO journeys_journeyversion (journey_id, number, steps, created_at)"
            " VALUES (%s, 1, %s, now()) RETURNING id",
            journey,
            json.dumps(STEPS),
        )
        where = {"journey": journey, "version": version, "list": list_id, "count": count, "first": first}
        connection.execute(_FILL, where)


def _one(connection: Connection[Any], statement: str, *parameters: Any) -> int:
    [found] = connection.execute(statement, parameters).fetchall()
    value: int = found[0]
    return value


def differences(connection: Connection[Any]) -> dict[str, int]:
    """What is not as it must be: empty if all is well."""
    counts = {what: _one(connection, query) for what, query in DIFFERENCES.items()}
    return {what: count for what, count in counts.items() if count}
