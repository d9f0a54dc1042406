"""Lists are made, changed and exported."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import RunningStack
from tests.support import LIST, Api, contact, new_number, new_numbers

_JSON = {"Content-Type": "application/json"}


def list_id(api: Api) -> int:
    """The id of the list that every test account has."""
    found: int = api.get("/lists").json()["lists"][0]["id"]
    return found


def test_a_list_is_made_and_takes_contacts_at_once(any_stack: RunningStack) -> None:
    api = any_stack.account()
    number = new_number()
    made = api.post("/lists", json={"phone_number": number, "list_name": "Summer", "brand_name": "Ñandú"})
    assert made.status_code == 201
    body = made.json()
    assert body == {
        "id": body["id"],
        "phone_number": number,
        "brand_name": "Ñandú",
        "list_name": "Summer",
        "status": "active",
        "contact_count": 0,
        "created_at": body["created_at"],
    }
    assert made.headers["Location"] == f"/api/v2/lists/{body['id']}"
    assert api.summary(contact(list_number=number))["list_contacts_created"] == 1
    assert api.get(f"/lists/{body['id']}").json() == {**body, "contact_count": 1}
    paused = api.post("/lists", json={"phone_number": new_number(), "status": "paused"}).json()
    assert (paused["status"], paused["list_name"], paused["brand_name"]) == ("paused", "", "")


def test_a_number_is_one_list_however_many_ask_at_once(stack: RunningStack) -> None:
    api, number = stack.account(), new_number()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post("/lists", json={"phone_number": number}), range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    [made] = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    for refused in (answer.json() for answer in answers if answer.status_code == 409):
        assert (refused["code"], refused["list_id"]) == ("list_exists", made)
    assert stack.account().post("/lists", json={"phone_number": number}).status_code == 201  # its own


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({}, "missing_phone_number", None),
        ({"phone_number": None}, "missing_phone_number", None),
        ({"phone_number": ""}, "missing_phone_number", None),
        ({"phone_number": 18005551234}, "invalid_phone", None),
        ({"phone_number": "1 800 555 1234"}, "invalid_phone", None),
        ({"phone_number": "+18005550000", "list_name": 1}, "invalid_field", "list_name"),
        ({"phone_number": "+18005550000", "list_name": None}, "invalid_field", "list_name"),
        ({"phone_number": "+18005550000", "brand_name": "x" * 201}, "invalid_field", "brand_name"),
        ({"phone_number": "+18005550000", "brand_name": "\x00"}, "invalid_field", "brand_name"),
        ({"phone_number": "+18005550000", "list_name": "\ud800"}, "invalid_field", "list_name"),
        ({"phone_number": "+18005550000", "status": "deleted"}, "invalid_field", "status"),
        ({"phone_number": "+18005550000", "status": ["active"]}, "invalid_field", "status"),
        ({"phone_number": "+18005550000", "name": "x"}, "invalid_field", "name"),
        ({"phone_number": "+18005550000", "\ud800": "x"}, "invalid_field", "?"),
        ({"phone_number": "+18005550000", "x" * 1000: "x"}, "invalid_field", "x" * 100),
        ([], "invalid_json", None),
    ],
)
def test_what_is_no_list_is_refused(stack: RunningStack, given: Any, code: str, field: str | None) -> None:
    api = stack.shared
    answer = api.post("/lists", content=json.dumps(given), headers=_JSON)
    assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (400, code, field)
    assert api.get("/lists").json()["pagination"]["total"] == 1


def test_the_longest_names_are_kept(stack: RunningStack) -> None:
    names = {"brand_name": "é" * 200, "list_name": "🙂" * 200}
    made = stack.account().post("/lists", json={"phone_number": new_number(), **names}).json()
    assert {name: made[name] for name in names} == names


def test_a_list_is_renamed_paused_resumed_and_deleted(stack: RunningStack) -> None:
    api = stack.account()
    api.summary(contact())
    path = f"/lists/{list_id(api)}"
    before = api.get(path).json()

    def change(**fields: str) -> dict[str, Any]:
        answer = api.patch(path, json=fields)
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        return body

    assert change() == before
    assert change(list_name="New", brand_name="B") == {**before, "list_name": "New", "brand_name": "B"}
    assert change(status="paused")["status"] == "paused"
    assert api.get("/lists", params={"status": "paused"}).json()["pagination"]["total"] == 1
    assert api.summary(contact())["success_count"] == 1  # contacts still come in
    assert change(status="active") == {**before, "list_name": "New", "brand_name": "B", "contact_count": 2}
    assert change(status="deleted")["status"] == "deleted"
    assert api.patch(path, json={"status": "active"}).status_code == 404
    assert api.get(path).status_code == api.get(f"{path}/contacts.csv").status_code == 404
    assert api.summary(contact())["errors"][0]["code"] == "list_not_found"
    again = api.post("/lists", json={"phone_number": LIST})
    assert (again.status_code, again.json()["contact_count"]) == (201, 0)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"phone_number": "+18005550000"}, "phone_number"),
        ({"contact_count": 1}, "contact_count"),
        ({"status": "gone"}, "status"),
        ({"status": None}, "status"),
        ({"list_name": {}}, "list_name"),
        ({"list_name": "fine", "brand_name": 7}, "brand_name"),
    ],
)
def test_a_change_that_can_not_be_made_changes_nothing(
    stack: RunningStack, given: dict[str, Any], field: str
) -> None:
    path = f"/lists/{list_id(stack.shared)}"
    before = stack.shared.get(path).json()
    answer = stack.shared.patch(path, json=given)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field")
    assert answer.json()["field"] == field
    assert stack.shared.get(path).json() == before


def test_no_account_changes_or_exports_anothers_list(stack: RunningStack) -> None:
    theirs = list_id(stack.account())
    for path in (f"/lists/{theirs}", f"/lists/{10**17}"):
        assert stack.shared.patch(path, json={"list_name": "x"}).status_code == 404
        assert stack.shared.get(f"{path}/contacts.csv").status_code == 404


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_a_lists_members_come_as_csv(any_stack: RunningStack) -> None:
    api = any_stack.account("--list", LIST, "--list", "+18005555678")
    first, second = new_numbers(2)
    evidence = {"ip_address": "2001:db8::1", "url": "https://example.com/?a=1,2"}
    api.summary(
        contact(first, signup_date="2025-01-01", custom_fields={"note": '=1+1 "x",\n', "n": 1.5}, **evidence),
        contact(second, signup_date="2025-01-02"),
        contact(new_number(), list_number="+18005555678"),
    )
    api.request("DELETE", "/contacts", params={"phone_number": second, "list_number": LIST})
    answer = api.get(f"/lists/{list_id(api)}/contacts.csv")
    newest, oldest = rows_of(answer)
    unsubscribed_at = newest.pop("unsubscribed_at")
    assert unsubscribed_at.endswith("Z")
    assert newest == {
        "phone_number": second,
        "list_number": LIST,
        "active": "false",
        "signup_date": "2025-01-02T00:00:00Z",
        "signup_method": "api",
        "custom_fields": "{}",
        "carrier": "",
        "line_type": "UNKNOWN",
        "timezone": "America/Los_Angeles",
        "is_valid": "true",
        "ip_address": "",
        "url": "",
    }
    assert json.loads(oldest["custom_fields"]) == {"note": '=1+1 "x",\n', "n": 1.5}
    assert {name: oldest[name] for name in evidence} == evidence
    assert (oldest["active"], oldest["unsubscribed_at"]) == ("true", "")
    assert answer.text.count("\r\n") == 3  # RFC 4180's line ends; the note's own stays inside its quotes


def test_text_that_a_spreadsheet_would_calculate_is_exported_as_text(stack: RunningStack) -> None:
    api = stack.account()
    number = new_number()
    api.summary(contact(number))
    stack.rows("UPDATE contacts_contact SET carrier = '=1+1' WHERE phone_number = %s", number)
    [row] = rows_of(api.get(f"/lists/{list_id(api)}/contacts.csv"))
    assert (row["carrier"], row["phone_number"]) == ("'=1+1", number)


def test_a_long_list_is_exported_whole_and_in_order(stack: RunningStack) -> None:
    """More than two pages; many members have the same signup date, which a page may end in the middle of."""
    api = stack.account()
    numbers = new_numbers(1_300)
    for at in range(0, len(numbers), 650):
        api.summary(
            *(contact(n, signup_date=f"2025-01-0{1 + i % 2}") for i, n in enumerate(numbers[at : at + 650]))
        )
    rows = rows_of(api.get(f"/lists/{list_id(api)}/contacts.csv"))
    assert sorted(row["phone_number"] for row in rows) == sorted(numbers)
    dates = [row["signup_date"] for row in rows]
    assert dates == sorted(dates, reverse=True)


def test_an_empty_list_is_exported_as_its_head(stack: RunningStack) -> None:
    api = stack.account()
    answer = api.get(f"/lists/{list_id(api)}/contacts.csv")
    assert rows_of(answer) == []
    assert answer.text.startswith("phone_number,list_number,active,")
