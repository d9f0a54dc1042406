"""Too much waits already: refused, before it becomes a trouble for all."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.keys import create_key
from core.http.errors import ApiError
from devstack.stack import Stack
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.intake.backlog import backlog
from ingestion.jobs.process import process
from ingestion.models import BulkJob, BulkSlice, Incident
from tests.support import contact, new_account

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _counted_anew() -> Iterator[None]:
    backlog.forget()
    yield
    backlog.forget()


def body(*contacts: Any) -> dict[str, bytes]:
    return {"contacts": json.dumps(contacts).encode()}


@pytest.mark.parametrize("path", ["/api/v2/contacts/bulk", "/api/v2/contacts"])
def test_beyond_the_limit_requests_are_refused_and_nothing_is_kept(
    client: Client, settings: Any, path: str
) -> None:
    settings.TRACKLY_MAX_BACKLOG = 3
    account, _ = new_account()
    _, key = create_key(account, name="theirs")
    _, [slice_id] = accept(account, read_batch(body(contact(), contact(), contact())))
    backlog.forget()
    sent = {"contacts": [contact()]} if path.endswith("bulk") else contact()
    headers = {"X-Api-Key": key, "Prefer": "respond-async"}
    answer = client.post(path, sent, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer["Retry-After"] == "30"
    assert BulkJob.objects.count() == 1
    process(slice_id)
    backlog.forget()
    assert accept(account, read_batch(body(contact())))


def test_an_account_that_has_filled_its_share_leaves_the_others_theirs(settings: Any) -> None:
    settings.TRACKLY_ACCOUNT_BACKLOG, settings.TRACKLY_MAX_BACKLOG = 2, 4
    account, _ = new_account()
    other, _ = new_account()
    accept(account, read_batch(body(contact(), contact())))
    backlog.forget()
    with pytest.raises(ApiError, match=r"this account's contacts") as refused:
        accept(account, read_batch(body(contact())))
    assert (refused.value.status, refused.value.code) == (503, "unavailable")
    accept(other, read_batch(body(contact(), contact())))
    backlog.forget()
    with pytest.raises(ApiError, match="Too much work"):
        accept(new_account()[0], read_batch(body(contact())))


def test_what_was_accepted_before_is_answered_for_though_the_limit_is_reached(
    client: Client, settings: Any, servers: Stack
) -> None:
    """An idempotency key that is sent again makes no work."""
    settings.REDIS_URL = servers.environment["REDIS_URL"]
    account, _ = new_account()
    _, key = create_key(account, name="theirs")
    headers = {"X-Api-Key": key, "Idempotency-Key": "one", "Prefer": "respond-async"}
    sent = {"contacts": [contact()]}
    first = client.post("/api/v2/contacts/bulk", sent, content_type="application/json", headers=headers)
    settings.TRACKLY_MAX_BACKLOG = 1
    backlog.forget()
    again = client.post("/api/v2/contacts/bulk", sent, content_type="application/json", headers=headers)
    assert (again.status_code, again.json()["job_id"]) == (202, first.json()["job_id"])


def test_metrics_say_what_waits_and_what_was_mended(client: Client, settings: Any, servers: Stack) -> None:
    settings.TRACKLY_METRICS_TOKEN, settings.REDIS_URL = "token", servers.environment["REDIS_URL"]
    account, _ = new_account()
    job, _ = accept(account, read_batch(body(contact(), contact())))
    Incident.objects.create(kind="halved", job=job, count=2)
    answer = client.get("/metrics", headers={"Authorization": "Bearer token"})
    lines = answer.content.decode().splitlines()
    for line in (
        'trackly_slices_pending{lane="ingest"} 1.0',
        'trackly_contacts_pending{lane="ingest"} 2.0',
        'trackly_contacts_pending{lane="live"} 0.0',
        'trackly_incidents_last_hour{kind="halved"} 1.0',
        "trackly_enrollments_due 0.0",
        'trackly_messages{status="queued"} 0.0',
    ):
        assert line in lines
    assert any(line.startswith('trackly_queue_length{queue="ingest"} ') for line in lines)
    BulkSlice.objects.all().delete()
