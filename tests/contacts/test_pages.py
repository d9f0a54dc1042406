"""Pages and exports whose rows are as large as they can be: they are whole, and take little memory."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from accounts.keys import create_key
from accounts.models import Account
from contacts import payload, queries
from contacts.models import Contact, ListContact, SendingList
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.jobs.process import process
from ingestion.pipeline.fields import MAX_BYTES
from tests.support import LIST, new_account, new_numbers

pytestmark = pytest.mark.django_db

ROWS = 1_000
MOST_BYTES = 4_000_000
"""Of memory that an answer may take; those that are asked for are several times that."""

_FILL = """
INSERT INTO contacts_listcontact (
    sending_list_id, contact_id, signup_date, signup_method, url, custom_fields, created_at, updated_at
)
SELECT list.id, contact.id, now(), 'api', '', %s::jsonb, now(), now()
FROM contacts_sendinglist AS list, contacts_contact AS contact
WHERE list.account_id = %s AND contact.phone_number = ANY(%s)
"""


def _largest() -> str:
    """Custom fields of MAX_BYTES; by the contract no membership has more."""
    fields = {f"field{number}": "" for number in range(5)}
    room = (MAX_BYTES - len(json.dumps(fields, separators=(",", ":")))) // len(fields)
    return json.dumps(
        {name: "".join(chr(97 + place * place % 25) for place in range(room)) for name in fields}
    )


def _members(account: Account, numbers: list[str], fields: str) -> None:
    Contact.objects.bulk_create(Contact(phone_number=number) for number in numbers)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [fields, account.pk, numbers])


@pytest.fixture
def account() -> Account:
    return new_account()[0]


@pytest.fixture
def headers(account: Account) -> dict[str, str]:
    return {"X-Api-Key": create_key(account, name="theirs")[1]}


class _Measured:
    """An answer, read to its end as a web server would: its bytes are counted and let go."""

    def __init__(self, client: Client, path: str, headers: dict[str, str]) -> None:
        client.get("/api/v2/lists", headers=headers)  # what is loaded at the first request is no part of it
        tracemalloc.start()
        try:
            answer: Any = client.get(path, headers=headers)
            self.status, self.declared = answer.status_code, answer.get("Content-Length")
            pieces: Iterator[bytes] = answer.streaming_content if answer.streaming else iter([answer.content])
            self.bytes = sum(map(len, pieces))
            self.peak = tracemalloc.get_traced_memory()[1]
            answer.close()
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("path", ["/contacts?per_page=1000", "/lists/{list}/contacts.csv"])
def test_a_page_of_the_largest_rows_takes_little_memory(
    client: Client, account: Account, headers: dict[str, str], path: str
) -> None:
    _members(account, new_numbers(ROWS), _largest())
    made = account.sending_lists.get()
    answer = _Measured(client, "/api/v2" + path.format(list=made.pk), headers)
    assert answer.status == 200
    assert answer.bytes > ROWS * MAX_BYTES * 0.99
    assert answer.peak < MOST_BYTES


def test_a_contact_on_many_lists_takes_little_memory(
    client: Client, account: Account, headers: dict[str, str]
) -> None:
    numbers = new_numbers(ROWS)
    SendingList.objects.bulk_create(
        SendingList(account=account, phone_number=number) for number in new_numbers(ROWS - 1)
    )
    _members(account, numbers[:1], _largest())
    answer = _Measured(client, f"/api/v2/contacts/{numbers[0]}", headers)
    assert answer.status == 200
    assert answer.bytes > ROWS * MAX_BYTES * 0.99
    assert answer.peak < MOST_BYTES


def test_results_of_the_largest_contacts_are_not_held_by_the_answer(
    client: Client, account: Account, headers: dict[str, str], settings: Any
) -> None:
    """A number may be nearly all of a contact, and three times as long once it is escaped."""
    number = "\N{SNOWMAN}" * ((payload.MAX_CONTACT_BYTES - 100) // 3)
    body = json.dumps([{"phone_number": number, "list_number": LIST}] * ROWS, ensure_ascii=False).encode()
    settings.TRACKLY_SLICE_SIZE = ROWS
    job, slice_ids = accept(account, read_batch({"contacts": body}))
    for slice_id in slice_ids:
        process(slice_id)
    answer: Any = client.get(f"/api/v2/jobs/{job.pk}/results?per_page=1000", headers=headers)
    assert (answer.status_code, answer.streaming) == (200, True)
    read = b"".join(answer.streaming_content)
    assert int(answer["Content-Length"]) == len(read) > len(body)
    results = json.loads(read)["results"]
    assert [row["index"] for row in results] == list(range(ROWS))
    assert {row["phone_number"] for row in results} == {number}


def test_a_page_is_whole_and_in_order_whatever_its_rows_hold(
    client: Client, account: Account, headers: dict[str, str], settings: Any
) -> None:
    """Also where a row alone is more than is held at a time, and where some have gone meanwhile."""
    fields = {"text": 'a "quoted" \\ text, é, \N{SNOWMAN}', "number": 1.5, "large": 10**30, "yes": True}
    numbers = new_numbers(450)
    _members(account, numbers, json.dumps(fields))
    settings.TRACKLY_PAGE_MEMORY = 100
    answer: Any = client.get("/api/v2/contacts?per_page=400&page=1", headers=headers)
    assert answer.streaming
    read = b"".join(answer.streaming_content)
    found = json.loads(read)
    assert int(answer["Content-Length"]) == len(read)
    assert answer["Content-Type"] == "application/json"
    assert found["pagination"] == {"page": 1, "per_page": 400, "total": 450, "total_pages": 2}
    ids = list(ListContact.objects.order_by("-signup_date", "-id").values_list("pk", flat=True))
    shown = list(
        ListContact.objects.filter(pk__in=ids[:400])
        .order_by("-signup_date", "-id")
        .values_list("contact__phone_number", flat=True)
    )
    assert [entry["phone_number"] for entry in found["contacts"]] == shown
    assert all(entry["custom_fields"] == fields for entry in found["contacts"])
    gone = [*ids[:3], *ids[150:400]]
    ListContact.objects.filter(pk__in=gone).delete()
    left = [entry["phone_number"] for entry in queries.entries(ids[:400])]
    assert left == shown[3:150]


def test_an_ordinary_page_is_in_memory_and_a_failing_one_is_an_error(
    client: Client, account: Account, headers: dict[str, str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _members(account, new_numbers(50), '{"first_name": "Jane"}')
    answer = client.get("/api/v2/contacts", headers=headers)
    assert isinstance(answer, HttpResponse)
    assert len(answer.json()["contacts"]) == 50

    def breaks(_: list[int]) -> Iterator[dict[str, Any]]:
        yield {"phone_number": "x" * 1_000}
        raise RuntimeError("a database that is gone")

    settings.TRACKLY_PAGE_MEMORY = 100
    monkeypatch.setattr(queries, "entries", breaks)
    client.raise_request_exception = False
    broken = client.get("/api/v2/contacts", headers=headers)
    assert (broken.status_code, broken.json()["code"]) == (500, "internal_error")
