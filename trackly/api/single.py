"""`POST /contacts`: a batch of one, and its outcome as an HTTP answer."""

from typing import Any

from django.http import HttpRequest
from rest_framework.response import Response

from accounts.models import Account
from core import codec
from core.http import request_log
from core.http.body import read_body, read_object
from core.http.codes import ErrorCode
from core.http.errors import ApiError
from core.http.prefer import wait_of
from ingestion.batch import look_over
from ingestion.intake import idempotency
from ingestion.intake.accept import accept
from ingestion.intake.idempotency import IdempotencyKey
from ingestion.jobs.results import outcomes
from ingestion.jobs.waiting import wait_for
from ingestion.models import BulkJob, JobKind
from ingestion.pipeline.entries import Outcome, find_lists, read
from ingestion.tasks import send
from trackly.api.responses import accepted, path_of, set_preference_headers


def create(account: Account, request: HttpRequest) -> Response:
    """Answer `POST /contacts`. What is wrong with the contact itself is said before anything is accepted.

    Raises what `POST /contacts/bulk` raises, and ApiError for a contact that fails.
    """
    body = read_body(request)
    once = idempotency.key_of(request, body)
    job = idempotency.find(account, once) if once else None
    if job is None:
        job = _accept(account, body, once)
    wait = wait_of(request)
    job, granted = wait_for(job, wait.seconds)
    response = _answer(job) if job.has_ended else accepted(job)
    return set_preference_headers(response, wait, granted=granted)


def _accept(account: Account, body: bytes, once: IdempotencyKey | None) -> BulkJob:
    read_object(body)
    request_log.note(contacts=1)
    entry = read(0, body)
    find_lists(account.pk, [entry])
    if entry.error is not None:
        raise _refusal(entry.error_entry())
    job, slice_ids = accept(account, look_over([(0, body)]), kind=JobKind.SINGLE, once=once)
    request_log.note(job=str(job.pk))
    send(job, slice_ids)
    return job


def _answer(job: BulkJob) -> Response:
    [outcome] = outcomes(job) or [{"error": {"code": "cancelled", "error": "The job was cancelled."}}]
    if "error" in outcome:
        raise _refusal(outcome["error"])
    summary = codec.loads(job.summary.encode())
    is_new = outcome["outcome"] == Outcome.CREATED
    body: dict[str, Any] = {
        "success": True,
        "contact_id": outcome["contact_id"],
        "list_contact_id": outcome["list_contact_id"],
        "is_new_contact": summary["contacts_created"] == 1,
        "is_new_list_contact": is_new,
        "journeys_enrolled": outcome["journeys_enrolled"],
    }
    body |= {
        name: source[name]
        for name, source in (("validation", outcome), ("warnings", summary))
        if name in source
    }
    return Response(body, status=201 if is_new else 200, headers={"Location": path_of(job)})


def _refusal(entry: dict[str, Any]) -> ApiError:
    """A contact's entry of `errors`, as an answer."""
    more = {name: value for name, value in entry.items() if name in {"field", "reason", "validation"}}
    return ApiError(ErrorCode(entry["code"]).status, entry["code"], entry["error"], **more)
