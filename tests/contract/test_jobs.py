"""Jobs over HTTP: list, results, retry, cancel, errors.csv."""

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.conftest import RunningStack
from tests.support import LIST, Api, contact, new_number, new_numbers


@contextmanager
def poisoned(stack: RunningStack, number: str) -> Iterator[None]:
    """As long as this lasts, the database refuses a contact with this number."""
    name = f"poison_{number[1:]}"
    stack.rows(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'a fault for the test'; END $$;"
        f" CREATE TRIGGER {name} BEFORE INSERT ON contacts_contact FOR EACH ROW"
        f" WHEN (NEW.phone_number = '{number}') EXECUTE FUNCTION {name}();"
    )
    try:
        yield
    finally:
        stack.rows(f"DROP FUNCTION {name} CASCADE")


@contextmanager
def held(stack: RunningStack, number: str) -> Iterator[None]:
    """As long as this lasts, whoever wants to insert this number waits."""
    with stack.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(
            "INSERT INTO contacts_contact"
            " (phone_number, carrier, line_type, time_zone, can_receive, created_at)"
            " VALUES (%s, '', 'UNKNOWN', '', true, now())",
            (number,),
        )
        yield


def test_a_job_says_all_that_the_contract_names(stack: RunningStack) -> None:
    api = stack.account()
    response = api.bulk(contact())
    job = api.job(response)
    assert list(job) == [
        *("job_id", "kind", "status", "total", "processed", "progress", "success_count", "error_count"),
        *("created_at", "started_at", "completed_at", "results_url", "summary"),
    ]
    assert UUID(job["job_id"])
    assert (job["kind"], job["status"], job["summary"]) == ("contacts.bulk", "completed", response.json())


def test_a_job_says_where_its_results_are_and_its_errors_if_there_are_any(stack: RunningStack) -> None:
    api = stack.account()
    good, bad = (api.job(api.bulk(contact(number))) for number in (None, "nope"))
    assert (good["results_url"], "errors_url" in good) == (f"/api/v2/jobs/{good['job_id']}/results", False)
    results, errors = (api.get(bad[name].removeprefix("/api/v2")) for name in ("results_url", "errors_url"))
    assert [row["outcome"] for row in results.json()["results"]] == ["failed"]
    assert errors.text.splitlines()[1].startswith("0,invalid_phone")
    assert ["errors_url" in job for job in api.get("/jobs").json()["jobs"]] == [True, False]


def test_progress_never_falls_and_the_summary_comes_at_the_end(literal_stack: RunningStack) -> None:
    api = literal_stack.account()
    response = api.bulk(*(contact(n) for n in new_numbers(60)), prefer="respond-async")
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["status"] in {"queued", "processing"}:
        answer = api.get(response.headers["Location"].removeprefix("/api/v2"))
        seen.append(answer.json())
        running = seen[-1]["status"] in {"queued", "processing"}
        assert (seen[-1]["summary"] is None) == running
        assert ("Retry-After" in answer.headers) == running
    progress = [job["progress"] for job in seen]
    assert progress == sorted(progress)
    assert (progress[-1], seen[-1]["status"]) == (1.0, "completed")
    assert len(set(progress)) > 2


def test_jobs_are_listed_newest_first_page_by_page(stack: RunningStack) -> None:
    api = stack.account()
    made = [api.bulk(contact()).headers["Location"].rsplit("/", 1)[1] for _ in range(3)]
    pages = [api.get("/jobs", params={"per_page": 2, "page": page}).json() for page in (1, 2, 3)]
    assert [[job["job_id"] for job in page["jobs"]] for page in pages] == [made[:0:-1], made[:1], []]
    assert pages[1]["pagination"] == {"page": 2, "per_page": 2, "total": 3, "total_pages": 2}
    assert "summary" not in pages[0]["jobs"][0]


@pytest.fixture(scope="module")
def archive(stack: RunningStack) -> Api:
    """An account with a job of each kind for each way to end, on each of ten days."""
    api = stack.account()
    made = stack.rows(
        "INSERT INTO bulk_bulkjob"
        " (id, account_id, kind, status, total, processed, success_count, error_count, summary,"
        " created_at, completed_at)"
        " SELECT gen_random_uuid(), %s, kind, status, 1, 0, 0, 0, '{}',"
        " '2025-01-01Z'::timestamptz + day * '1 day'::interval, now()"
        " FROM unnest(ARRAY['contacts.bulk', 'contacts.single']) AS kind,"
        " unnest(ARRAY['completed', 'failed', 'cancelled']) AS status, generate_series(0, 9) AS day"
        " RETURNING id",
        api.account_id,
    )
    assert len(made) == 60
    return api


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ({}, 60),
        ({"status": "failed"}, 20),
        ({"kind": "contacts.single"}, 30),
        ({"kind": "contacts.bulk", "status": "cancelled"}, 10),
        ({"status": "queued"}, 0),
        ({"created_after": "2025-01-06T00:00:00Z"}, 30),
        ({"created_after": "2025-01-06T00:00:00.000001"}, 24),
        ({"created_before": "2025-01-06"}, 30),
        ({"created_after": "2025-01-03T01:00:00+01:00", "created_before": "2025-01-05"}, 12),
        ({"created_after": "2025-01-05", "created_before": "2025-01-03"}, 0),
        ({"status": "failed", "kind": "contacts.bulk", "created_after": "2025-01-10"}, 1),
    ],
)
def test_jobs_are_filtered(archive: Api, query: dict[str, str], total: int) -> None:
    pages: list[dict[str, Any]] = []
    while not pages or pages[-1]["jobs"]:
        page = len(pages) + 1
        pages.append(archive.get("/jobs", params={**query, "per_page": 7, "page": page}).json())
    found = [job for shown in pages for job in shown["jobs"]]
    assert {shown["pagination"]["total"] for shown in pages} == {total}
    assert len({job["job_id"] for job in found}) == len(found) == total
    assert [job["created_at"] for job in found] == sorted((job["created_at"] for job in found), reverse=True)
    for name in query.keys() & {"status", "kind"}:
        assert {job[name] for job in found} <= {query[name]}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("status=", "status"),
        ("status=Failed", "status"),
        ("kind=contacts", "kind"),
        ("created_after=yesterday", "created_after"),
        ("created_after=", "created_after"),
        ("created_before=0001-01-01T00:00:00%2B14:00", "created_before"),
        ("created_before=2025-01-01T00:00:00+01:00", "created_before"),
    ],
)
def test_a_filter_that_can_not_be_used_is_named(stack: RunningStack, query: str, field: str) -> None:
    refused = stack.shared.get(f"/jobs?{query}")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_parameter")
    assert refused.json()["field"] == field


def test_results_bear_their_numbers_and_are_filtered(any_stack: RunningStack) -> None:
    api = any_stack.account()
    gone = "+18005559999"
    batch = [
        contact(),
        {"phone_number": None, "list_number": 7},
        7,
        contact({"a": [1]}, list_number=gone),
        contact(list_number=gone),
        contact("+12025550102"),
        {"custom_fields": {"x": "y" * 4_000}, **contact()},
        {"list_number": "x" * 4_100, "phone_number": "\ud800"},
    ]
    response = api.post(
        "/contacts/bulk",
        content=json.dumps({"contacts": batch}),
        headers={"Content-Type": "application/json"},
    )
    path = response.headers["Location"].removeprefix("/api/v2") + "/results"
    rows = api.get(path).json()["results"]
    numbers = [{name: row[name] for name in ("phone_number", "list_number") if name in row} for row in rows]
    expected = [
        {name: one[name] for name in ("phone_number", "list_number") if name in one}
        for one in (given if isinstance(given, dict) else {} for given in batch)
    ]
    del expected[7]["list_number"]  # it is what makes the contact too large
    assert numbers == expected
    for row in rows[1:]:
        assert row["error"].get("phone_number", "none") == row.get("phone_number", "none")

    def indexes(**query: Any) -> list[int]:
        page = api.get(path, params=query).json()
        assert page["pagination"]["total"] == len(page["results"])
        return [row["index"] for row in page["results"]]

    assert indexes(outcome="created") == [0]
    assert indexes(outcome="failed") == [1, 2, 3, 4, 5, 6, 7]
    assert indexes(code="list_not_found") == [4]
    assert indexes(outcome="failed", code="payload_too_large") == [6, 7]
    assert indexes(outcome="created", code="payload_too_large") == indexes(outcome="updated") == []
    second = api.get(path, params={"outcome": "failed", "per_page": 3, "page": 3}).json()
    assert ([row["index"] for row in second["results"]], second["pagination"]["total_pages"]) == ([7], 3)
    for name, word in (("outcome", "gone"), ("code", "nope"), ("code", "")):
        refused = api.get(path, params={name: word})
        assert (refused.status_code, refused.json()["field"]) == (400, name)


def test_results_say_of_every_contact_what_became_of_it(any_stack: RunningStack) -> None:
    api = any_stack.account("--welcome-journey", "Welcome", "--billing", "active")
    old = contact()
    api.summary(old)
    batch = [
        contact(use_journeys=True),
        old,
        {**old, "custom_fields": {"a": 1}},
        contact("nope"),
        contact("+12025550114", use_validation=True),
    ]
    response = api.bulk(*batch)
    path = response.headers["Location"].removeprefix("/api/v2") + "/results"
    results = api.get(path).json()
    rows = results["results"]
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["outcome"] for row in rows] == ["created", "unchanged", "updated", "failed", "failed"]
    assert [row["journeys_enrolled"] for row in rows] == [1, 0, 0, 0, 0]
    assert [row.get("error") for row in rows[3:]] == response.json()["errors"]
    assert rows[4]["validation"]["disposition"] == "unreachable"
    for row in rows[:3]:
        found = any_stack.rows(
            "SELECT contact_id FROM contacts_listcontact WHERE id = %s", row["list_contact_id"]
        )
        assert found == [(row["contact_id"],)]
    job = api.job(response)
    assert results["pagination"]["total"] == job["total"] == job["success_count"] + job["error_count"] == 5
    assert job["success_count"] == sum(row["outcome"] != "failed" for row in rows)
    assert [r["index"] for r in api.get(path, params={"page": 2, "per_page": 2}).json()["results"]] == [2, 3]


def test_a_failed_job_is_retried_and_only_what_failed_runs_again(literal_stack: RunningStack) -> None:
    api = literal_stack.account()
    bad, good = contact(), contact()
    with poisoned(literal_stack, bad["phone_number"]):
        response = api.bulk(good, bad)
        job = api.ended_job(response)
        assert job["status"] == "failed"
        assert (job["success_count"], job["error_count"], job["progress"]) == (1, 1, 1.0)
        assert [(e["index"], e["code"]) for e in job["summary"]["errors"]] == [(1, "internal_error")]
    path = f"/jobs/{job['job_id']}/retry"
    retried = api.post(path)
    assert retried.status_code == 202
    again = api.ended_job(retried)
    assert (again["status"], again["summary"]["errors"]) == ("completed", [])
    assert (again["success_count"], again["error_count"], again["processed"]) == (2, 0, 2)
    assert again["summary"]["list_contacts_created"] == 2
    refused = api.post(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_retryable")


def test_what_no_provider_answered_for_is_retried_once_however_many_ask(any_stack: RunningStack) -> None:
    api = any_stack.account("--billing", "active")
    never_answered, answered = "+12025550116", "+12025550112"
    paid = [contact(number, use_validation=True) for number in (never_answered, answered)]
    batch = [*paid, contact(), contact("no")]
    job = api.ended_job(api.bulk(*batch))
    assert (job["status"], job["success_count"], job["error_count"]) == ("completed", 2, 2)
    assert [error["code"] for error in job["summary"]["errors"]] == ["provider_error", "invalid_phone"]
    before = api.get(job["results_url"].removeprefix("/api/v2")).json()
    path = f"/jobs/{job['job_id']}/retry"
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.post(path), range(6)))
    accepted = [answer for answer in answers if answer.status_code == 202]
    refused = {answer.json()["code"] for answer in answers if answer.status_code != 202}
    assert accepted
    assert refused <= {"not_retryable"}
    again = api.ended_job(accepted[0])
    changing = ("completed_at", "started_at")
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in job.items() if k not in changing
    }
    assert api.get(job["results_url"].removeprefix("/api/v2")).json() == before
    charged = "SELECT count(*) FROM billing_ledgerentry WHERE account_id = %s"
    assert any_stack.count(charged, api.account_id) == 1
    assert api.get("/usage").json()["cached"] == 0  # what had its answer was not asked about again


def test_what_can_not_be_retried_is_refused(stack: RunningStack) -> None:
    api = stack.account()
    words = {"code": "provider_error"}  # as a client may send it: that is no error of a provider's
    for batch in ([contact()], [contact("nope"), contact(words)]):
        job = api.ended_job(api.bulk(*batch))
        refused = api.post(f"/jobs/{job['job_id']}/retry")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_retryable")
        assert api.get(f"/jobs/{job['job_id']}").json() == job


def test_a_cancelled_job_keeps_what_was_processed_and_says_how_much(literal_stack: RunningStack) -> None:
    api = literal_stack.account()
    numbers = new_numbers(40)
    with held(literal_stack, numbers[-1]):
        # The last contact waits for the test; at the latest when all workers do, the rest waits behind it.
        response = api.bulk(*(contact(n) for n in numbers), prefer="respond-async")
        cancelled = api.post(f"/jobs/{response.json()['job_id']}/cancel")
        assert cancelled.status_code == 200
    job = api.ended_job(response)
    summary = job["summary"]
    assert job["status"] == "cancelled"
    assert summary["success_count"] == job["processed"] < 40
    assert summary["cancelled_count"] == 40 - job["processed"]
    present = "SELECT count(*) FROM contacts_contact WHERE phone_number = ANY(%s)"
    assert literal_stack.count(present, numbers) == job["success_count"]
    for action, code in (("cancel", "not_cancellable"), ("retry", "not_retryable")):
        refused = api.post(f"/jobs/{job['job_id']}/{action}")
        assert (refused.status_code, refused.json()["code"]) == (409, code)


def test_the_failed_rows_come_as_csv(stack: RunningStack) -> None:
    api = stack.account()
    formula = {"phone_number": "=1+1", "list_number": LIST, "custom_fields": {"note": 'a "b", c'}}
    response = api.bulk(
        contact(), formula, 7, contact(new_number(), url="ftp://x"), contact(list_number="+18005559999")
    )
    answer = api.get(response.headers["Location"].removeprefix("/api/v2") + "/errors.csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["index"], row["code"], row["field"]) for row in rows] == [
        ("1", "invalid_phone", ""),
        ("2", "invalid_contact", ""),
        ("3", "invalid_field", "url"),
        ("4", "list_not_found", ""),
    ]
    assert (rows[0]["phone_number"], rows[0]["custom_fields"]) == ("'=1+1", '{"note":"a \\"b\\", c"}')
    assert (rows[3]["list_number"], rows[3]["phone_number"][:5]) == ("+18005559999", "+1415")


@pytest.mark.parametrize("action", ["", "/results", "/errors.csv", "/retry", "/cancel"])
def test_another_accounts_job_is_not_there(stack: RunningStack, action: str) -> None:
    api = stack.shared
    theirs = stack.account().bulk(contact()).headers["Location"].removeprefix("/api/v2")
    call = api.post if action in {"/retry", "/cancel"} else api.get
    answers = [call(path + action) for path in (theirs, f"/jobs/{uuid4()}")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
