"""`POST /contacts/bulk` over HTTP, through a real web server and real workers, in both shapes."""

import json
from typing import Any

import httpx
import pytest

from tests.conftest import RunningStack
from tests.support import EXAMPLES, LIST, contact, eventually, is_as_documented, new_number, new_numbers


def test_the_seeds_batch_is_answered_as_documented(any_stack: RunningStack) -> None:
    api = any_stack.account("--welcome-journey", "Welcome")
    response = api.post("/contacts/bulk", json=EXAMPLES["bulk_request"])
    assert response.status_code == 200
    assert is_as_documented(response.json(), EXAMPLES["bulk_response"])
    job = api.job(response)
    assert job["summary"] == response.json()
    assert job["summary"]["errors"][0]["reason"] == "not_in_service"
    assert (job["status"], job["total"], job["processed"], job["progress"]) == ("completed", 3, 3, 1.0)
    assert job["created_at"] <= job["started_at"] <= job["completed_at"]


def test_respond_async_is_answered_at_once_and_polling_ends_in_the_same_summary(
    any_stack: RunningStack,
) -> None:
    api = any_stack.account()
    response = api.bulk(contact(), contact(phone_number="nonsense"), prefer="respond-async")
    accepted = response.json()
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    assert response.headers["Location"] == accepted["status_url"] == f"/api/v2/jobs/{accepted['job_id']}"
    assert int(response.headers["Retry-After"]) >= 1
    assert accepted["total"] == 2
    job = api.ended_job(response)
    assert job["status"] == "completed"
    assert (job["success_count"], job["error_count"]) == (1, 1)
    assert job["summary"]["errors"] == [
        {
            "index": 1,
            "phone_number": "nonsense",
            "code": "invalid_phone",
            "error": "phone_number is not a valid E.164 number",
        }
    ]


# In the literal shape the largest batch is a thousand tasks, which take half a minute.
@pytest.mark.parametrize(("shape", "size"), [("stack", 1_000), ("literal_stack", 200)])
def test_a_large_batch_is_counted_right_and_the_tables_agree(
    request: pytest.FixtureRequest, shape: str, size: int
) -> None:
    stack: RunningStack = request.getfixturevalue(shape)
    api = stack.account("--welcome-journey", "Welcome")
    numbers, greeted = new_numbers(size), len(range(0, size, 3))
    response = api.bulk(*(contact(n, use_journeys=i % 3 == 0) for i, n in enumerate(numbers)))
    assert api.ended_job(response)["summary"] == {
        "success_count": size,
        "error_count": 0,
        "errors": [],
        "contacts_created": size,
        "list_contacts_created": size,
        "journeys_enrolled": greeted,
    }
    made = stack.count("SELECT count(*) FROM contacts_contact WHERE phone_number = ANY(%s)", numbers)
    lists = "contacts_sendinglist l ON l.id = m.sending_list_id"
    mine = f"contacts_listcontact m JOIN {lists} WHERE l.account_id = %s"
    assert made == stack.count(f"SELECT count(*) FROM {mine}", api.account_id) == size
    enrolled = "journeys_enrollment e JOIN journeys_journey j ON j.id = e.journey_id WHERE j.account_id = %s"
    assert stack.count(f"SELECT count(*) FROM {enrolled}", api.account_id) == greeted


def test_every_code_in_one_batch_and_each_bad_contact_alone(any_stack: RunningStack) -> None:
    api = any_stack.account("--billing", "active")
    good = contact()
    batch: list[Any] = [
        "not an object",
        contact(custom_fields={"note": "x" * 4000}),
        {"list_number": LIST},
        {"phone_number": new_number()},
        contact("+1415555"),
        contact(list_number="18005551234"),
        contact(signup_date="yesterday"),
        contact(list_number="+18005550000"),
        contact("+12025550102"),
        contact("+12025550101"),
        contact("+12025550116", use_validation=True),
        contact("+12025550114", use_validation=True),
        good,
    ]
    summary = api.summary(*batch)
    assert [(entry["index"], entry["code"]) for entry in summary["errors"]] == [
        (0, "invalid_contact"),
        (1, "payload_too_large"),
        (2, "missing_phone_number"),
        (3, "missing_list_number"),
        (4, "invalid_phone"),
        (5, "invalid_list_number"),
        (6, "invalid_field"),
        (7, "list_not_found"),
        (8, "not_sendable"),
        (9, "not_sendable"),
        (10, "provider_error"),
        (11, "validation_failed"),
    ]
    by_index = {entry["index"]: entry for entry in summary["errors"]}
    assert by_index[6]["field"] == "signup_date"
    assert by_index[8]["error"] == "Phone number failed carrier validation"
    assert by_index[9]["error"] == "Phone number is a rejected VOIP number"
    assert [by_index[n].get("reason") for n in (7, 8, 9, 10)] == [None, "landline", "voip", None]
    assert "phone_number" not in by_index[2]
    assert by_index[11]["validation"] == {
        "disposition": "unreachable",
        "valid": True,
        "line_type": "mobile",
        "carrier": "Sandbox Wireless",
        "ported": False,
        "on_dnc": False,
        "country": "US",
        "cost": 0.003,
        "cached": False,
    }
    assert (summary["success_count"], summary["error_count"]) == (1, 12)
    assert (
        any_stack.count("SELECT count(*) FROM contacts_contact WHERE phone_number = %s", good["phone_number"])
        == 1
    )


def test_paid_validation_is_charged_once_and_remembered(any_stack: RunningStack) -> None:
    api = any_stack.account("--billing", "active")
    failing = contact("+12025550115", use_validation=True)
    first, again = api.summary(failing), api.summary(failing)
    assert [entry["errors"][0]["validation"]["cost"] for entry in (first, again)] == [0.003, 0]
    assert again["errors"][0]["validation"]["cached"] is True
    assert any_stack.rows(
        "SELECT micro_dollars FROM billing_ledgerentry WHERE account_id = %s", api.account_id
    ) == [(3000,)]


def test_a_carrier_that_never_answers_rejects_nobody(stack: RunningStack) -> None:
    api = stack.account()
    assert api.summary(contact("+12025550104"))["success_count"] == 1
    assert stack.rows(
        "SELECT verified_at, line_type FROM contacts_contact WHERE phone_number = '+12025550104'"
    ) == [(None, "UNKNOWN")]


def test_a_look_up_that_fails_once_is_tried_again(any_stack: RunningStack) -> None:
    api = any_stack.account("--billing", "active")
    assert api.summary(contact("+12025550103", use_validation=True))["success_count"] == 1
    assert any_stack.rows(
        "SELECT line_type, carrier, time_zone FROM contacts_contact WHERE phone_number = '+12025550103'"
    ) == [("CELL PHONE", "Sandbox Wireless", "America/New_York")]


@pytest.mark.parametrize(
    ("billing", "code"),
    [
        ("none", "no_billing_config"),
        ("no_payment_method", "no_payment_method"),
        ("payment_failed", "payment_failed"),
        ("suspended", "suspended"),
    ],
)
def test_who_may_not_be_billed_is_refused_and_nothing_is_kept(
    stack: RunningStack, billing: str, code: str
) -> None:
    api = stack.account("--billing", billing)
    response = api.bulk(contact(), contact(use_validation=True))
    assert (response.status_code, response.json()["code"]) == (402, code)
    assert stack.count("SELECT count(*) FROM bulk_bulkjob WHERE account_id = %s", api.account_id) == 0


def test_the_same_number_twice_is_applied_in_order_and_created_once(any_stack: RunningStack) -> None:
    api = any_stack.account()
    number = new_number()
    summary = api.summary(
        contact(number, custom_fields={"a": 1, "b": 1}),
        contact(),
        contact(number, custom_fields={"b": 2}),
        contact(number, custom_fields={"c": 3}, replace_custom_fields=True),
        contact(number, custom_fields={"d": 4}),
    )
    assert (summary["success_count"], summary["contacts_created"], summary["list_contacts_created"]) == (
        5,
        2,
        2,
    )
    assert _fields(any_stack, number) == {"c": 3, "d": 4}


def test_an_existing_membership_keeps_its_data_and_is_filled_where_empty(any_stack: RunningStack) -> None:
    api = any_stack.account()
    number = new_number()
    api.summary(contact(number, signup_date="2025-03-10T08:00:00", custom_fields={"a": 1, "b": True}))
    later = contact(
        number,
        signup_date="2026-01-01",
        ip_address="2001:db8::1",
        url="https://x.test/",
        custom_fields={"b": 2},
    )
    assert api.summary(later)["list_contacts_created"] == 0
    api.summary(contact(number, ip_address="192.0.2.1", url="https://y.test/"))
    kept = "SELECT to_char(signup_date AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24'), host(ip_address), url"
    assert any_stack.rows(f"{kept} FROM {_MEMBERSHIP}", number) == [
        ("2025-03-10 08", "2001:db8::1", "https://x.test/")
    ]
    assert _fields(any_stack, number) == {"a": 1, "b": 2}


def test_opt_outs_stay_and_are_told_of_once_per_list(any_stack: RunningStack) -> None:
    api = any_stack.account("--welcome-journey", "Welcome")
    gone, staying = new_number(), new_number()
    api.summary(contact(gone))
    any_stack.rows(
        "UPDATE contacts_listcontact SET unsubscribed_at = now() FROM contacts_contact c"
        " WHERE c.id = contact_id AND c.phone_number = %s",
        gone,
    )
    again = {"use_journeys": True, "skip_journey_if_exists": False}
    summary = api.summary(contact(gone, **again), contact(gone, **again), contact(staying, **again))
    assert (summary["success_count"], summary["journeys_enrolled"]) == (3, 1)
    assert summary["warnings"] == [f"List {LIST}: 1 contact was unsubscribed before and stays unsubscribed."]
    assert any_stack.count(f"SELECT count(unsubscribed_at) FROM {_MEMBERSHIP}", gone) == 1


def test_a_journey_nobody_asked_for_is_warned_of_by_name(any_stack: RunningStack) -> None:
    api = any_stack.account("--welcome-journey", "Hello", "--welcome-journey", "Offer")
    assert api.summary(contact())["warnings"] == [
        (
            f'List {LIST} has active Welcome Journeys ("Hello", "Offer"), '
            "but no contact of this batch set use_journeys."
        )
    ]
    assert "warnings" not in api.summary(contact(use_journeys=True), contact())


def test_who_was_on_the_list_is_enrolled_only_if_told_to_and_only_once(any_stack: RunningStack) -> None:
    api = any_stack.account("--welcome-journey", "Welcome")
    number = new_number()
    api.summary(contact(number))
    enrolled = [
        api.summary(contact(number, use_journeys=True, **more))["journeys_enrolled"]
        for more in ({}, {"skip_journey_if_exists": False}, {"skip_journey_if_exists": False})
    ]
    assert enrolled == [0, 1, 0]


_MEMBERSHIP = (
    "contacts_listcontact m JOIN contacts_contact c ON c.id = m.contact_id WHERE c.phone_number = %s"
)


def _fields(stack: RunningStack, number: str) -> Any:
    return stack.rows(f"SELECT custom_fields FROM {_MEMBERSHIP}", number)[0][0]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b"null", 400, "invalid_json"),
        (b'{"contacts": [NaN]}', 400, "invalid_json"),
        (b'{"contacts": [Infinity]}', 400, "invalid_json"),
        (b'{"contacts": ["\xff"]}', 400, "invalid_json"),
        (b'{"contacts": ' + b"[" * 100_000, 400, "invalid_json"),
        (b'{"contacts": [' + b"[" * 1900 + b"]" * 1900 + b"]}", 400, "invalid_json"),
        (b'{"contacts": [' + b"[" * 499 + b"]" * 499 + b"]}", 400, "invalid_json"),
        (b"{}", 400, "missing_contacts"),
        (b'{"contacts": null}', 400, "missing_contacts"),
        (b'{"contacts": {}}', 400, "missing_contacts"),
        (b'{"contacts": "x"}', 400, "missing_contacts"),
        (b'{"contacts": [ ]}', 400, "missing_contacts"),
        (b'{"contacts": [' + b"1," * 1000 + b"1]}", 413, "too_many_contacts"),
        (b'{"contacts": ["' + b"x" * 5_000_000 + b'"]}', 413, "payload_too_large"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_batch_is_refused_at_once(
    stack: RunningStack, body: bytes, status: int, code: str
) -> None:
    api = stack.shared
    response = api.post("/contacts/bulk", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["error"]
    assert "Location" not in response.headers


@pytest.mark.parametrize("levels", [101, 102, 498])
def test_what_a_body_may_hold_but_no_contact_fails_alone(stack: RunningStack, levels: int) -> None:
    """A body has up to 500 levels of nesting, the array of contacts being the second; a contact 101."""
    deep = b'{"x": ' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    good = json.dumps(contact()).encode()
    content = b'{"contacts": [' + good + b"," + deep + b"]}"
    response = stack.shared.post(
        "/contacts/bulk", content=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 200
    assert response.json()["success_count"] == 1
    codes = [error["code"] for error in response.json()["errors"]]
    assert codes == ["missing_phone_number" if levels <= 101 else "invalid_contact"]


@pytest.mark.parametrize("levels", [498, 499])
def test_a_single_contact_s_body_has_the_same_limit(stack: RunningStack, levels: int) -> None:
    deep = b'{"x": ' + b"[" * (levels + 1) + b"]" * (levels + 1) + b"}"
    response = stack.shared.post("/contacts", content=deep, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["code"] == ("invalid_contact" if levels == 498 else "invalid_json")


def test_a_body_that_does_not_say_its_length_is_read_all_the_same(stack: RunningStack) -> None:
    api = stack.shared
    parts = (b'{"contacts": [', b'{"phone_number": "nope", "list_number": "+18005551234"}', b"]}")
    response = api.post("/contacts/bulk", content=iter(parts), headers={"Content-Type": "application/json"})
    assert response.json()["errors"][0]["code"] == "invalid_phone"


def test_the_order_of_checks(stack: RunningStack) -> None:
    url = f"{stack.base}/api/v2/contacts/bulk"
    text = {"Content-Type": "text/plain"}
    assert httpx.post(url, content=b"x", headers=text).status_code == 401
    api = stack.account()
    assert api.post("/contacts/bulk", content=b"x", headers=text).json()["code"] == "unsupported_media_type"
    stack.rows("UPDATE accounts_account SET suspended_at = now() WHERE id = %s", api.account_id)
    refused = api.post("/contacts/bulk", content=b"x", headers=text)
    assert (refused.status_code, refused.json()["code"]) == (403, "account_suspended")


@pytest.mark.parametrize(
    "key", [None, "", "trk_short", "trk_" + "a" * 32, "trk_" + "é" * 32, "TRK_" + "a" * 32, "trk_" + "a" * 33]
)
def test_who_has_no_key_is_unauthorized(stack: RunningStack, key: str | None) -> None:
    headers = httpx.Headers({} if key is None else {b"X-Api-Key": key.encode()})
    response = httpx.get(f"{stack.base}/api/v2/jobs/{'0' * 8}-0000-0000-0000-{'0' * 12}", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response.headers["X-Request-Id"]


def test_a_revoked_key_is_unauthorized_at_once(stack: RunningStack) -> None:
    api = stack.account()
    assert api.summary(contact())["success_count"] == 1
    stack.rows("UPDATE accounts_apikey SET revoked_at = now() WHERE account_id = %s", api.account_id)
    assert api.bulk(contact()).status_code == 401


def test_what_is_not_there_and_what_is_not_allowed_answer_json(stack: RunningStack) -> None:
    api, other = stack.account(), stack.account()
    theirs = other.bulk(contact()).headers["Location"].removeprefix("/api/v2")
    for path in ("/nope", "/", "/contacts/bulk/", "/jobs/1", theirs):
        response = api.get(path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), path
    response = api.get("/contacts/bulk")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in response.headers["Allow"]


def test_health_needs_no_key(stack: RunningStack) -> None:
    assert httpx.get(f"{stack.base}/healthz").json() == {"status": "ok"}
    ready = eventually(lambda: httpx.get(f"{stack.base}/readyz").json(), lambda body: body["checks"]["beat"])
    assert ready == {
        "status": "ok",
        "checks": {"database": True, "broker": True, "worker": True, "beat": True},
    }
