"""What clients were told against what the tables and the gateway hold."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.client import Api
from tests.faults.storm.clients import Batch, Client

Rows = Callable[..., list[tuple[Any, ...]]]
"""Runs a statement; its rows."""

_COST = 3_000
"""Millionths of a dollar."""


class Reconciliation:
    """Collects differences, each a sentence."""

    def __init__(self, rows: Rows, taken_by_gateway: dict[str, int]) -> None:
        self.differences: list[str] = []
        self.counted: Counter[str] = Counter()
        self._rows = rows
        self._taken = taken_by_gateway
        self._expected_messages: Counter[str] = Counter()

    def check(self, clients: Sequence[Client]) -> None:
        """Look at everything."""
        self._what_has_not_ended()
        for client in clients:
            self._account(client)
        refused = {
            sent["phone_number"] for client in clients for batch in client.told.refused for sent in batch.good
        }
        refused -= {
            sent["phone_number"]
            for client in clients
            for batch in (*client.told.accepted, *client.told.unknown)
            for sent in batch.good
        }
        self.counted["contacts refused"] = len(refused)
        self._same("refused numbers that are contacts all the same", self._stored(refused), set())
        made = sum(
            row[0]
            for row in self._rows(
                "SELECT (summary::jsonb ->> 'contacts_created')::int FROM bulk_bulkjob WHERE summary <> ''"
            )
        )
        self._same("contacts created by the jobs' sums", self._count("contacts_contact"), made)
        self._same("messages the gateway took, by number", Counter(self._taken), self._expected_messages)

    def _what_has_not_ended(self) -> None:
        for what, statement in {
            "jobs that have not ended": "SELECT count(*) FROM bulk_bulkjob WHERE completed_at IS NULL",
            "slices that have not ended": "SELECT count(*) FROM bulk_bulkslice WHERE status = 'pending'",
            "enrollments that are not completed": (
                "SELECT count(*) FROM journeys_enrollment WHERE status <> 'completed'"
            ),
            "messages that are not sent": (
                "SELECT count(*) FROM journeys_outboundmessage WHERE status <> 'sent'"
            ),
            "enrollments without their one message": (
                "SELECT count(*) FROM journeys_enrollment e"
                " WHERE (SELECT count(*) FROM journeys_outboundmessage o WHERE o.enrollment_id = e.id) <> 1"
            ),
            "contacts on a list twice, or enrolled twice": (
                "SELECT count(*) FROM (SELECT m.contact_id FROM contacts_listcontact m"
                " LEFT JOIN journeys_enrollment e ON e.list_contact_id = m.id"
                " GROUP BY m.contact_id, m.sending_list_id HAVING count(*) <> 1) AS twice"
            ),
        }.items():
            self._same(what, self._rows(statement)[0][0], 0)

    def _account(self, client: Client) -> None:
        told, account = client.told, client.api.account_id
        self._find_unknown(client)
        members: set[str] = set()
        charged: set[str] = set()
        sums: Counter[str] = Counter()
        for batch in told.accepted:
            failed = self._job(client.api, batch, sums)
            for index, sent in enumerate(batch.contacts):
                if index not in failed:
                    members.add(sent["phone_number"])
                    if sent["use_validation"]:
                        charged.add(sent["phone_number"])
        stored = {
            row[0]
            for row in self._rows(
                "SELECT c.phone_number FROM contacts_listcontact m"
                " JOIN contacts_contact c ON c.id = m.contact_id"
                " JOIN contacts_sendinglist l ON l.id = m.sending_list_id WHERE l.account_id = %s",
                account,
            )
        }
        where = f"account {account}"
        self._same(f"{where}: members", stored, members)
        self._same(f"{where}: list_contacts_created", sums["list_contacts_created"], len(members))
        self._same(f"{where}: journeys_enrolled", sums["journeys_enrolled"], len(members))
        paid = self._rows(
            "SELECT v.phone_number, l.micro_dollars FROM billing_ledgerentry l"
            " JOIN billing_validation v ON v.id = l.validation_id WHERE l.account_id = %s",
            account,
        )
        self._same(f"{where}: charges", Counter(paid), Counter((number, _COST) for number in charged))
        self._same(f"{where}: usage", client.api.get("/usage").json()["validations"], len(charged))
        jobs = self._rows("SELECT id::text FROM bulk_bulkjob WHERE account_id = %s", account)
        self._same(f"{where}: jobs", {row[0] for row in jobs}, {str(batch.job_id) for batch in told.accepted})
        self._expected_messages.update(members)
        self.counted.update(
            {
                "batches accepted": len(told.accepted),
                "contacts accepted": sum(len(batch.contacts) for batch in told.accepted),
                "batches refused": len(told.refused),
                "batches without an answer": len(told.unknown),
                "members": len(members),
                "charges": len(charged),
            }
        )

    def _find_unknown(self, client: Client) -> None:
        """Batches without a key whose answer was lost: found by a number of theirs, they were accepted."""
        known = {batch.job_id for batch in client.told.accepted}
        for batch in list(client.told.unknown):
            [sent] = {sent["custom_fields"]["sent"] for sent in batch.contacts}
            mark = b'"sent":' + str(sent).encode() + b"}"
            found = [
                job_id
                for job_id, payload in self._rows(
                    "SELECT j.id::text, s.payload FROM bulk_bulkjob j"
                    " JOIN bulk_bulkslice s ON s.job_id = j.id"
                    " WHERE j.account_id = %s AND s.lane = 'ingest' ORDER BY s.id",
                    client.api.account_id,
                )
                if job_id not in known and mark in zlib.decompress(payload)
            ]
            found = list(dict.fromkeys(found))
            self._same("jobs of one request without an answer", len(found), min(len(found), 1))
            if found:
                batch.job_id = found[0]
                client.told.accepted.append(batch)
                client.told.unknown.remove(batch)

    def _job(self, api: Api, batch: Batch, sums: Counter[str]) -> set[int]:
        """Compare a job with its batch; the indexes that failed."""
        job = api.get(f"/jobs/{batch.job_id}").json()
        where = f"job {batch.job_id}"
        if not job["summary"]:
            self.differences.append(f"{where}: {job['status']}, no summary")
            return set()
        for name in ("list_contacts_created", "journeys_enrolled"):
            sums[name] += job["summary"][name]
        codes = {error["index"]: error["code"] for error in job["summary"]["errors"]}
        may_fail = {
            index
            for index, code in codes.items()
            if code == "provider_error" and batch.contacts[index]["use_validation"]
        }
        self.counted["provider_error"] += len(may_fail)
        expected = dict.fromkeys(batch.bad_indexes, "invalid_phone") | dict.fromkeys(
            may_fail, "provider_error"
        )
        self._same(f"{where}: errors", codes, expected)
        self._same(f"{where}: status", job["status"], "completed")
        counts = (job["total"], job["success_count"], job["error_count"])
        total = len(batch.contacts)
        self._same(f"{where}: counts", counts, (total, total - len(expected), len(expected)))
        return set(codes)

    def _stored(self, numbers: Iterable[str]) -> set[str]:
        return {
            row[0]
            for row in self._rows(
                "SELECT phone_number FROM contacts_contact WHERE phone_number = ANY(%s)", list(numbers)
            )
        }

    def _count(self, table: str) -> int:
        count: int = self._rows(f"SELECT count(*) FROM {table}")[0][0]
        return count

    def _same(self, what: str, found: Any, expected: Any) -> None:
        if found == expected:
            return
        if isinstance(found, (set, Counter)):
            more, less = list(found - expected)[:3], list(expected - found)[:3]
            self.differences.append(
                f"{what}: {len(found)}, not {len(expected)}; too much {more}, missing {less}"
            )
        else:
            self.differences.append(f"{what}: {found}, not {expected}")
