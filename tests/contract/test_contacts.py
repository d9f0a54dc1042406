"""Single contacts, reading contacts and lists, unsubscribing; and that no account sees another's."""

from typing import Any

import httpx
import pytest

from tests.conftest import RunningStack
from tests.support import LIST, Api, contact, new_number, new_numbers

OTHER = "+18005555678"


def test_a_single_contact_is_created_then_known(stack: RunningStack) -> None:
    api = stack.account("--welcome-journey", "Welcome")
    given = contact(use_journeys=True, custom_fields={"a": 1})
    first, second = (
        api.post("/contacts", json=given),
        api.post("/contacts", json={**given, "use_journeys": False}),
    )
    assert (first.status_code, second.status_code) == (201, 200)
    body = first.json()
    assert body == {
        "success": True,
        "contact_id": body["contact_id"],
        "list_contact_id": body["list_contact_id"],
        "is_new_contact": True,
        "is_new_list_contact": True,
        "journeys_enrolled": 1,
    }
    assert second.json()["is_new_contact"] is second.json()["is_new_list_contact"] is False
    assert second.json()["list_contact_id"] == body["list_contact_id"]
    assert "Welcome" in second.json()["warnings"][0]
    assert api.job(first)["kind"] == "contacts.single"


def test_a_single_validated_contact_bears_its_validation(stack: RunningStack) -> None:
    api = stack.account("--billing", "active")
    answers = [
        api.post("/contacts", json=contact("+12025550112", use_validation=True)).json() for _ in range(2)
    ]
    assert [answer["validation"]["cost"] for answer in answers] == [0.003, 0]
    assert answers[0]["validation"]["disposition"] == "risky"
    assert answers[0]["validation"]["on_dnc"] is True


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({}, 400, "missing_phone_number"),
        ({"phone_number": "+14155559876"}, 400, "missing_list_number"),
        (contact("nope"), 400, "invalid_phone"),
        (contact(list_number="nope"), 400, "invalid_list_number"),
        (contact(use_journeys=1), 400, "invalid_field"),
        ([], 400, "invalid_json"),
        (contact(list_number="+18005559999"), 404, "list_not_found"),
        (contact(custom_fields={"a": "x" * 4000}), 413, "payload_too_large"),
        (contact(use_validation=True), 402, "no_billing_config"),
        (contact("+12025550102"), 422, "not_sendable"),
    ],
)
def test_a_single_contact_that_fails_is_an_http_error(
    stack: RunningStack, given: Any, status: int, code: str
) -> None:
    response = stack.shared.post("/contacts", json=given)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json().get("field") == ("use_journeys" if code == "invalid_field" else None)
    assert response.json().get("reason") == ("landline" if code == "not_sendable" else None)


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [("+12025550115", 422, "validation_failed"), ("+12025550116", 502, "provider_error")],
)
def test_a_single_contact_that_paid_validation_stops(
    stack: RunningStack, number: str, status: int, code: str
) -> None:
    response = stack.account("--billing", "active").post(
        "/contacts", json=contact(number, use_validation=True)
    )
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert ("validation" in response.json()) == (code == "validation_failed")


def test_a_single_contact_may_be_answered_later(stack: RunningStack) -> None:
    response = stack.shared.post("/contacts", json=contact(), headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert stack.shared.ended_job(response)["summary"]["success_count"] == 1


@pytest.fixture(scope="module")
def reader(stack: RunningStack) -> Api:
    """An account with two lists and five contacts, newest signup last."""
    api = stack.account("--list", LIST, "--list", OTHER)
    numbers = new_numbers(4)
    dates = [f"2025-01-0{day}" for day in range(1, 5)]
    api.summary(
        *(contact(n, signup_date=d, custom_fields={"d": d}) for n, d in zip(numbers, dates, strict=True)),
        contact(numbers[0], list_number=OTHER, signup_date="2025-01-05"),
    )
    api.request("DELETE", "/contacts", params={"phone_number": numbers[3], "list_number": LIST})
    api.numbers = numbers
    return api


def test_contacts_are_listed_newest_signup_first(reader: Api) -> None:
    everything = reader.get("/contacts").json()
    assert [entry["signup_date"][:10] for entry in everything["contacts"]] == [
        f"2025-01-0{day}" for day in (5, 4, 3, 2, 1)
    ]
    assert everything["pagination"] == {"page": 1, "per_page": 50, "total": 5, "total_pages": 1}
    assert everything["contacts"][2] == {
        "phone_number": reader.numbers[2],
        "list_number": LIST,
        "active": True,
        "signup_date": "2025-01-03T00:00:00Z",
        "signup_method": "api",
        "custom_fields": {"d": "2025-01-03"},
        "carrier": "",
        "line_type": "UNKNOWN",
        "timezone": "America/Los_Angeles",
        "is_valid": True,
    }


@pytest.mark.parametrize(
    ("query", "days", "total"),
    [
        ({"list_number": LIST}, [4, 3, 2, 1], 4),
        ({"list_number": OTHER}, [5], 1),
        ({"active": "true"}, [5, 3, 2, 1], 4),
        ({"active": "false"}, [4], 1),
        ({"active": "true", "list_number": OTHER}, [5], 1),
        ({"per_page": 2}, [5, 4], 5),
        ({"per_page": 2, "page": 3}, [1], 5),
        ({"per_page": 1000, "page": 2}, [], 5),
        ({"page": 1_000_000_000}, [], 5),
    ],
)
def test_contacts_are_filtered_and_paged(
    reader: Api, query: dict[str, Any], days: list[int], total: int
) -> None:
    found = reader.get("/contacts", params=query).json()
    assert [int(entry["signup_date"][9]) for entry in found["contacts"]] == days
    assert found["pagination"]["total"] == total


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(
            ({name: value}, name)
            for name in ("page", "per_page")
            for value in ("0", "-1", "x", "1.5", "٣", "")
        ),
        ({"per_page": "1001"}, "per_page"),
        ({"page": "9" * 50}, "page"),
        ({"active": "yes"}, "active"),
        ({"list_number": "nope"}, "list_number"),
    ],
)
def test_a_parameter_that_can_not_be_used_is_named(
    stack: RunningStack, query: dict[str, str], field: str
) -> None:
    response = stack.shared.get("/contacts", params=query)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")
    assert response.json()["field"] == field


def test_a_contact_shows_its_memberships_of_this_accounts_lists(stack: RunningStack, reader: Api) -> None:
    found = reader.get(f"/contacts/{reader.numbers[0]}").json()
    assert found["phone_number"] == reader.numbers[0]
    assert [(m["list_number"], m["active"]) for m in found["memberships"]] == [(OTHER, True), (LIST, True)]
    stranger = stack.account()
    answers = [stranger.get(f"/contacts/{number}") for number in (reader.numbers[0], new_number())]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    stranger.summary(contact(reader.numbers[0], custom_fields={"mine": 1}))
    assert [
        m["custom_fields"] for m in stranger.get(f"/contacts/{reader.numbers[0]}").json()["memberships"]
    ] == [{"mine": 1}]
    assert stranger.get("/contacts").json()["pagination"]["total"] == 1


def test_unsubscribing_works_once_and_holds(stack: RunningStack) -> None:
    api, stranger = stack.account("--welcome-journey", "Welcome"), stack.account()
    number = new_number()
    api.summary(contact(number))
    given = {"phone_number": number, "list_number": LIST}

    def unsubscribed(who: Api, **how: Any) -> bool:
        response = who.request("DELETE", "/contacts", **how)
        assert (response.status_code, response.json()["success"]) == (200, True)
        return bool(response.json()["unsubscribed"])

    assert not unsubscribed(stranger, params=given)
    assert unsubscribed(api, json=given)
    assert not unsubscribed(api, params=given)
    assert not unsubscribed(api, params={**given, "phone_number": new_number()})
    assert not unsubscribed(api, params={**given, "list_number": "+18005559999"})
    again = api.summary(contact(number, use_journeys=True, skip_journey_if_exists=False))
    assert (again["success_count"], again["journeys_enrolled"], len(again["warnings"])) == (1, 0, 1)


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ({}, 400, "missing_phone_number"),
        ({"params": {"phone_number": "+14155559876"}}, 400, "missing_list_number"),
        ({"params": {"phone_number": "x", "list_number": LIST}}, 400, "invalid_phone"),
        ({"json": {"phone_number": "+14155559876", "list_number": []}}, 400, "invalid_list_number"),
        ({"json": {"phone_number": {}, "list_number": LIST}}, 400, "invalid_phone"),
        ({"json": []}, 400, "invalid_json"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
    ],
)
def test_unsubscribing_nobody_is_an_error(stack: RunningStack, how: Any, status: int, code: str) -> None:
    response = stack.shared.request("DELETE", "/contacts", **how)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_lists_are_shown_with_their_members_counted(stack: RunningStack, reader: Api) -> None:
    lists = reader.get("/lists").json()["lists"]
    assert [(made["phone_number"], made["contact_count"], made["status"]) for made in lists] == [
        (LIST, 4, "active"),
        (OTHER, 1, "active"),
    ]
    assert list(lists[0]) == [
        *("id", "phone_number", "brand_name", "list_name", "status", "contact_count", "created_at")
    ]
    assert reader.get(f"/lists/{lists[0]['id']}").json() == lists[0]
    assert reader.get("/lists", params={"status": "paused"}).json()["lists"] == []
    assert reader.get("/lists", params={"status": "gone"}).status_code == 400
    theirs, nobodys = (stack.shared.get(f"/lists/{n}") for n in (lists[0]["id"], 10**17))
    assert (
        (theirs.status_code, theirs.content)
        == (nobodys.status_code, nobodys.content)
        == (404, nobodys.content)
    )


def test_another_accounts_list_is_no_list(stack: RunningStack, reader: Api) -> None:
    given = contact(list_number=OTHER)
    for answer in (
        stack.shared.post("/contacts", json=given),
        stack.shared.get("/contacts?list_number=%2B18005555678"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "list_not_found")
    assert stack.shared.summary(given)["errors"][0]["code"] == "list_not_found"


def test_a_deleted_list_is_gone_everywhere(stack: RunningStack) -> None:
    api = stack.account()
    number = new_number()
    api.summary(contact(number))
    [made] = api.get("/lists").json()["lists"]
    stack.rows("UPDATE contacts_sendinglist SET status = 'deleted' WHERE id = %s", made["id"])
    assert api.get("/lists").json()["lists"] == []
    assert api.get("/contacts").json()["contacts"] == []
    paths = (f"/lists/{made['id']}", f"/contacts/{number}", f"/contacts?list_number=%2B{LIST[1:]}")
    assert [api.get(path).status_code for path in paths] == [404, 404, 404]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/contacts"),
        ("POST", "/contacts"),
        ("DELETE", "/contacts"),
        ("POST", "/contacts/bulk"),
        ("GET", "/contacts/+14155559876"),
        ("GET", "/jobs"),
        ("GET", "/jobs/00000000-0000-0000-0000-000000000000"),
        ("GET", "/jobs/00000000-0000-0000-0000-000000000000/results"),
        ("GET", "/jobs/00000000-0000-0000-0000-000000000000/errors.csv"),
        ("POST", "/jobs/00000000-0000-0000-0000-000000000000/retry"),
        ("POST", "/jobs/00000000-0000-0000-0000-000000000000/cancel"),
        ("GET", "/lists"),
        ("POST", "/lists"),
        ("GET", "/lists/1"),
        ("PATCH", "/lists/1"),
        ("GET", "/lists/1/contacts.csv"),
        ("GET", "/usage"),
    ],
)
def test_every_endpoint_wants_a_key_and_answers_json(stack: RunningStack, method: str, path: str) -> None:
    response = httpx.request(method, f"{stack.base}/api/v2{path}", trust_env=False)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response.headers["Content-Type"] == "application/json"
    wrong = stack.shared.request("PUT", path)
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert method in wrong.headers["Allow"]
