"""Whatever JSON a contact holds, the outcome is a documented one."""

import json
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts.models import Contact, ListContact
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.jobs.process import process
from tests.support import LIST, new_account, new_number
from trackly.api.schemas import SCHEMAS

UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
CODES = set(SCHEMAS["ContactError"]["properties"]["code"]["x-extensible-enum"]) - {"internal_error"}
FIELDS = tuple(SCHEMAS["Contact"]["properties"])

_text = st.text(st.characters())  # U+0000, lone surrogates and right-to-left text included
_number = st.integers() | st.integers(2**63, 2**80) | st.floats()
_scalar = st.none() | st.booleans() | _number | _text | st.sampled_from(["", LIST, "+14155559876", "true"])
_any = st.recursive(_scalar, lambda inner: st.lists(inner) | st.dictionaries(_text, inner), max_leaves=8)
_odd = [
    "[" * 100 + "]" * 100,
    "[" * 490 + "]" * 490,
    "1e999",
    "9" * 3900,
    "9" * 5000,
    "-" + "1" * 5000 + ".5e7",
    "-1e400",
    "123456789012345678901234567890",
    r'"\ud800"',
    r'"\u0000"',
    r'{"\udc00": 1, "a": "\u0000"}',
    '"+１４１５５５５９８７６"',
    '"\u202e+14155559876"',
    json.dumps({str(n): n for n in range(10_000)}),
]
_json = st.builds(
    lambda value: json.dumps(value, allow_nan=False),
    _any.filter(lambda v: "NaN" not in json.dumps(v) and "Infinity" not in json.dumps(v)),
)
_values = _json | st.sampled_from(_odd)


def outcome_of(raw: str) -> dict[str, Any]:
    """The summary of a batch that holds one contact, a text in JSON's form, between two good ones."""
    account, _ = new_account()
    good = [json.dumps({"phone_number": new_number(), "list_number": LIST}) for _ in range(2)]
    body = f"[{good[0]}, {raw}, {good[1]}]".encode()
    with transaction.atomic():
        job, slice_ids = accept(account, read_batch({"contacts": body}))
        for slice_id in slice_ids:
            assert process(slice_id).made == []
        job.refresh_from_db()
        summary: dict[str, Any] = json.loads(job.summary)
        created = ListContact.objects.filter(sending_list__account=account).count()
        assert summary["success_count"] + summary["error_count"] == 3
        assert created == summary["list_contacts_created"] == summary["success_count"]
        assert (
            Contact.objects.filter(
                phone_number__in=[json.loads(text)["phone_number"] for text in good]
            ).count()
            == 2
        )
        transaction.set_rollback(True)
    return summary


@pytest.mark.django_db
@settings(max_examples=200, suppress_health_check=UNCHECKED)
@given(st.data())
def test_any_value_in_any_field_has_a_documented_outcome(data: st.DataObject) -> None:
    members = {"phone_number": f'"{new_number()}"', "list_number": f'"{LIST}"'}
    for name in data.draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3)):
        members[name] = data.draw(_values)
    if members.get("use_validation") == "true":
        members["use_validation"] = "false"  # would ask a provider; tests/bulk has it
    raw = "{" + ", ".join(f'"{name}": {value}' for name, value in members.items()) + "}"
    for entry in outcome_of(raw)["errors"]:
        assert entry["index"] == 1
        assert entry["code"] in CODES
        assert (entry["code"] == "invalid_field") == ("field" in entry)


@pytest.mark.django_db
@settings(max_examples=100, suppress_health_check=UNCHECKED)
@given(_values)
def test_any_value_in_a_contacts_place_has_a_documented_outcome(raw: str) -> None:
    summary = outcome_of(raw)
    assert [entry["code"] in CODES for entry in summary["errors"]] == [True]


@pytest.mark.django_db
@pytest.mark.parametrize("value", _odd)
@pytest.mark.parametrize("name", FIELDS)
def test_odd_values_in_every_field(name: str, value: str) -> None:
    raw = f'{{"phone_number": "{new_number()}", "list_number": "{LIST}", "{name}": {value}}}'
    [entry] = outcome_of(raw)["errors"]
    assert entry["code"] in CODES


@pytest.mark.django_db
def test_of_a_key_given_twice_the_last_counts() -> None:
    number = new_number()
    summary = outcome_of(f'{{"phone_number": "nope", "list_number": "{LIST}", "phone_number": "{number}"}}')
    assert summary["success_count"] == 3
