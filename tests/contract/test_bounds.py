"""Contract, part two, "Made precise": bounds of what accumulates, opt-outs, dry runs, the first outcome."""

import json
from typing import Any

import pytest

from ingestion.pipeline.fields import MAX_BYTES
from tests.conftest import RunningStack
from tests.support import LIST, Api, contact, new_number, new_numbers


def _fields(api: Api, number: str) -> dict[str, Any]:
    [membership] = api.get(f"/contacts/{number}").json()["memberships"]
    found: dict[str, Any] = membership["custom_fields"]
    return found


def _fill(api: Api, number: str) -> None:
    """Five contacts whose merged fields come close to the limit."""
    for part in range(5):
        assert api.summary(contact(number, custom_fields={f"part{part}": "x" * 3_000}))["success_count"] == 1


def test_merged_fields_have_a_bound_and_the_membership_stays(any_stack: RunningStack) -> None:
    api, number = any_stack.account(), new_number()
    _fill(api, number)
    before = _fields(api, number)
    assert len(json.dumps(before, separators=(",", ":"))) <= MAX_BYTES
    summary = api.summary(
        contact(number, custom_fields={"more": "x" * 3_000}, url="https://example.com/"), contact()
    )
    assert (summary["success_count"], summary["error_count"]) == (1, 1)
    [error] = summary["errors"]
    assert (error["code"], error["field"]) == ("invalid_field", "custom_fields")
    assert _fields(api, number) == before
    assert api.summary(contact(number, custom_fields={"part0": ""}))["success_count"] == 1
    assert api.summary(contact(number, custom_fields={"more": "x" * 2_000}))["success_count"] == 1


def test_two_contacts_of_one_batch_are_bounded_together(stack: RunningStack) -> None:
    api, number = stack.account(), new_number()
    batch = [contact(number, custom_fields={f"part{part}": "x" * 3_000}) for part in range(8)]
    summary = api.summary(*batch)
    assert [error["index"] for error in summary["errors"]] == [5, 6, 7]
    assert len(_fields(api, number)) == 5


def test_names_have_a_bound(stack: RunningStack) -> None:
    api, number = stack.account(), new_number()
    first = {f"a{name}": 1 for name in range(150)}
    second = {f"b{name}": 1 for name in range(51)}
    summary = api.summary(contact(number, custom_fields=first), contact(number, custom_fields=second))
    assert [(error["index"], error["field"]) for error in summary["errors"]] == [(1, "custom_fields")]
    del second["b0"]
    assert api.summary(contact(number, custom_fields=second))["success_count"] == 1
    assert len(_fields(api, number)) == 200
    over = api.summary(contact(custom_fields={f"n{name}": 1 for name in range(201)}))
    assert over["errors"][0]["code"] == "invalid_field"


@pytest.mark.parametrize(
    "number", ["1e308", "1e-300", "1" * 41, "-" + "1" * 40, "1e40", "0." + "0" * 60 + "1"]
)
def test_a_long_number_is_refused(stack: RunningStack, number: str) -> None:
    raw = json.dumps({"contacts": [contact(custom_fields={"n": "?"})]}).replace('"?"', number)
    answer = stack.shared.post("/contacts/bulk", content=raw, headers={"Content-Type": "application/json"})
    [error] = answer.json()["errors"]
    assert (error["code"], error["field"]) == ("invalid_field", "custom_fields")


@pytest.mark.parametrize("number", ["1e30", "1e-30", "0.1", "123456789012345678", "-0.0", "1.5e15", "1" * 40])
def test_a_shorter_number_is_kept(stack: RunningStack, number: str) -> None:
    phone_number = new_number()
    raw = json.dumps({"contacts": [contact(phone_number, custom_fields={"n": "?"})]}).replace('"?"', number)
    answer = stack.shared.post("/contacts/bulk", content=raw, headers={"Content-Type": "application/json"})
    assert answer.json()["success_count"] == 1
    assert _fields(stack.shared, phone_number)["n"] == pytest.approx(json.loads(number))


def test_nobody_pays_for_a_contact_whose_fields_do_not_fit(stack: RunningStack) -> None:
    api, number = stack.account("--billing", "active"), new_number()
    _fill(api, number)
    full = contact(number, custom_fields={"more": "x" * 3_000}, use_validation=True)
    assert api.summary(full)["errors"][0]["code"] == "invalid_field"
    assert api.get("/usage").json()["validations"] == 0


def test_an_opt_out_holds_when_the_number_becomes_a_list_again(any_stack: RunningStack) -> None:
    api = any_stack.account("--welcome-journey", "Welcome")
    stays_out, stays_in = new_numbers(2)
    api.summary(contact(stays_out), contact(stays_in))
    gone = api.request("DELETE", "/contacts", json={"phone_number": stays_out, "list_number": LIST})
    assert gone.json()["unsubscribed"] is True
    any_stack.rows("UPDATE contacts_sendinglist SET status = 'deleted' WHERE account_id = %s", api.account_id)
    made_again = (
        "INSERT INTO contacts_sendinglist"
        " (account_id, phone_number, brand_name, list_name, status, created_at)"
        " VALUES (%s, %s, '', '', 'active', now()) RETURNING id"
    )
    trigger = {
        "kind": "all",
        "of": [
            {"kind": "list", "operator": "on", "lists": [any_stack.count(made_again, api.account_id, LIST)]}
        ],
    }
    any_stack.rows(
        "UPDATE journeys_journey SET trigger = %s::jsonb WHERE account_id = %s",
        json.dumps(trigger),
        api.account_id,
    )
    rehearsed = api.post(
        "/contacts/bulk?dry_run=true",
        json={"contacts": [contact(number, use_journeys=True) for number in (stays_out, stays_in)]},
    ).json()
    summary = api.summary(contact(stays_out, use_journeys=True), contact(stays_in, use_journeys=True))
    assert (summary["success_count"], summary["journeys_enrolled"]) == (2, 1)
    assert summary["warnings"] == [f"List {LIST}: 1 contact was unsubscribed before and stays unsubscribed."]
    assert rehearsed == {**summary, "dry_run": True}
    active = {
        number: api.get(f"/contacts/{number}").json()["memberships"][0]["active"]
        for number in (stays_out, stays_in)
    }
    assert active == {stays_out: False, stays_in: True}
    [made] = api.get("/lists").json()["lists"]
    assert made["contact_count"] == 2
    assert api.get("/contacts", params={"active": "true"}).json()["pagination"]["total"] == 1


def test_a_dry_run_does_not_tell_what_another_account_knows(stack: RunningStack) -> None:
    api, other = stack.account(), stack.account()
    known, unknown = new_numbers(2)
    other.summary(contact(known))
    other.summary(contact("+12025550101"))  # looked up: VOIP
    last_id = "SELECT last_value FROM contacts_contact_id_seq"

    def rehearse(*numbers: str) -> dict[str, Any]:
        batch = {"contacts": [contact(number) for number in numbers]}
        found: dict[str, Any] = api.post("/contacts/bulk?dry_run=true", json=batch).json()
        return found

    before = stack.count(last_id)
    assert rehearse(known) == rehearse(unknown)
    assert rehearse(known)["contacts_created"] == 1
    assert rehearse("+12025550101") == rehearse(unknown)
    assert stack.count(last_id) == before
    api.summary(contact(known))
    assert rehearse(known)["contacts_created"] == 0


def test_a_key_gives_the_first_outcome_whatever_has_changed_since(stack: RunningStack) -> None:
    api = stack.account()
    headers, body = {"Idempotency-Key": "first"}, contact()
    first = api.post("/contacts", json=body, headers=headers)
    assert first.status_code == 201
    stack.rows("UPDATE contacts_sendinglist SET status = 'deleted' WHERE account_id = %s", api.account_id)
    assert api.post("/contacts", json=body).status_code == 404
    again = api.post("/contacts", json=body, headers=headers)
    assert (again.status_code, again.json(), again.headers["Location"]) == (
        first.status_code,
        first.json(),
        first.headers["Location"],
    )
