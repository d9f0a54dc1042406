"""Jobs over HTTP: list, results, retry, cancel, errors.csv."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.conftest import RunningStack
from tests.support import LIST, contact, new_number, new_numbers


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
        *("created_at", "started_at", "completed_at", "summary"),
    ]
    assert UUID(job["job_id"])
    assert (job["kind"], job["status"], job["summary"]) == ("contacts.bulk", "completed", response.json())


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
