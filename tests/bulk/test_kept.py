"""What is kept of a batch: no more than was sent, and a long number that is none, once."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.keys import create_key
from accounts.models import Account
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.jobs.process import process
from ingestion.models import BulkJob, BulkSlice
from tests.support import LIST, contact, new_account

pytestmark = pytest.mark.django_db


def noise(length: int) -> str:
    """Text that no compression makes much shorter."""
    return secrets.token_urlsafe(length)[:length]


def end(account: Account, contacts: list[Any]) -> tuple[BulkJob, int]:
    """A batch from acceptance to its summary; the job, and the bytes of its body."""
    sent = json.dumps(contacts).encode()
    job, slice_ids = accept(account, read_batch({"contacts": sent}))
    for slice_id in slice_ids:
        process(slice_id)
    job.refresh_from_db()
    return job, len(sent)


def bytes_kept(job: BulkJob) -> int:
    """Of all columns of the job and its slices, as PostgreSQL keeps them."""
    kept = 0
    for model, where in ((BulkJob, "id"), (BulkSlice, "job_id")):
        columns = "+".join(
            f"coalesce(pg_column_size({field.column}), 0)" for field in model._meta.concrete_fields
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT sum({columns}) FROM {model._meta.db_table} WHERE {where} = %s", [job.pk])
            kept += cursor.fetchone()[0]
    return kept


JUNK: dict[str, Callable[[], Any]] = {
    "numbers of 3,900 characters": lambda: contact(noise(3_900)),
    "numbers that are objects": lambda: {"phone_number": {noise(20): noise(3_800)}, "list_number": LIST},
    "numbers that are too large": lambda: contact(noise(4_900)),
    "lists that there are not": lambda: contact(noise(300), list_number=noise(3_000)),
    "texts": lambda: noise(4_000),
    "members that nothing asks for": lambda: contact(noise(30), **{noise(20): noise(3_700)}),
    "escapes": lambda: contact("\ud800" * 600),
    "short numbers": lambda: contact(noise(12)),
}


@pytest.mark.parametrize("make", JUNK.values(), ids=JUNK)
def test_junk_costs_no_more_than_it_brought(make: Callable[[], Any]) -> None:
    account, _ = new_account()
    job, brought = end(account, [make() for _ in range(1_000)])
    assert job.error_count == 1_000
    assert bytes_kept(job) <= brought


def test_a_long_number_is_said_back_as_it_was_sent_wherever_it_is_shown(client: Client) -> None:
    account, _ = new_account()
    _, key = create_key(account, name="theirs")
    numbers: list[Any] = [
        "x" * 63,
        "y" * 3_000,
        {"in": "payload"},
        {"in": ["payload", "z" * 100]},
        "\ud800" * 100,
        "\u0000" * 100,
        ["+14155550100"] * 50,
        "z" * 5_000,
    ]
    contacts = [contact(), *({"phone_number": number, "list_number": LIST} for number in numbers)]
    job, _ = end(account, contacts)
    headers = {"X-Api-Key": key}
    summary = client.get(f"/api/v2/jobs/{job.pk}", headers=headers).json()["summary"]
    results = client.get(f"/api/v2/jobs/{job.pk}/results", headers=headers).json()["results"]
    # What is larger than a contact may be is not said back.
    expected = [*numbers[:-1], None]
    assert [entry.get("phone_number") for entry in summary["errors"]] == expected
    assert [row["error"].get("phone_number") for row in results[1:]] == expected
    assert [row.get("phone_number") for row in results[1:]] == expected
    assert ("y" * 100) not in job.summary
    assert summary["errors"][-1].keys() == {"index", "code", "error"}
