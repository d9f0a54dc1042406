"""`POST /contacts/bulk`, and the jobs. A view checks and answers; the work is elsewhere."""

from uuid import UUID

from django.http import Http404, HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import account_of
from core import codec
from core.http import request_log
from core.http.body import read_body, read_object
from core.http.codes import OF_CONTACTS
from core.http.prefer import wait_of
from core.http.query import boolean, choice, moment, page_of
from core.http.spool import spooled, with_array
from ingestion.batch import read_batch
from ingestion.intake import idempotency
from ingestion.intake.accept import accept
from ingestion.intake.dry_run import dry_run
from ingestion.jobs import control, listing
from ingestion.jobs.results import errors_csv, outcomes, with_numbers
from ingestion.models import BulkJob, JobKind, JobStatus
from ingestion.pipeline.entries import Outcome
from ingestion.tasks import send, send_next
from trackly.api import schemas
from trackly.api.base import ApiView
from trackly.api.responses import RETRY_AFTER_SECONDS, accepted, accepted_or_summary, describe


class BulkContactsView(ApiView):
    """Contract, "POST /contacts/bulk"."""

    @schemas.bulk
    def post(self, request: Request) -> Response:
        body = read_body(request._request)
        once = idempotency.key_of(request._request, body)
        rehearsal = boolean(request._request, "dry_run")
        batch = read_batch(read_object(body, items_of="contacts"))
        if rehearsal:
            request_log.note(dry_run=True)
            return Response(dry_run(account_of(request), batch))
        job, slice_ids = accept(account_of(request), batch, once=once)
        request_log.note(job=str(job.pk))
        send(job, slice_ids)
        return accepted_or_summary(job, wait_of(request._request))


class JobsView(ApiView):
    """`GET /jobs`: the account's jobs, newest first; their summaries stay with the single job."""

    @schemas.jobs
    def get(self, request: Request) -> Response:
        asked = request._request
        page = page_of(asked)
        wanted = listing.JobFilter(
            status=choice(asked, "status", JobStatus.values),
            kind=choice(asked, "kind", JobKind.values),
            created_after=moment(asked, "created_after"),
            created_before=moment(asked, "created_before"),
        )
        found, total = listing.jobs(account_of(request).pk, wanted, page)
        shown = [describe(job, with_summary=False) for job in found]
        return Response({"jobs": shown, "pagination": page.describe(total)})


def _job(request: Request, job_id: UUID) -> BulkJob:
    """The account's job. Raises Http404 also for another account's."""
    request_log.note(job=str(job_id))
    job = BulkJob.objects.filter(pk=job_id, account=account_of(request)).first()
    if job is None:
        raise Http404
    return job


def _described(job: BulkJob) -> Response:
    headers = {} if job.has_ended else {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Response(describe(job), headers=headers)


class JobView(ApiView):
    """Contract, "GET /jobs/<job_id>"."""

    @schemas.job
    def get(self, request: Request, job_id: UUID) -> Response:
        return _described(_job(request, job_id))


class JobResultsView(ApiView):
    """`GET /jobs/<id>/results`: what became of each contact, by index."""

    @schemas.job_results
    def get(self, request: Request, job_id: UUID) -> HttpResponseBase:
        asked = request._request
        page = page_of(asked)
        outcome, code = choice(asked, "outcome", list(Outcome)), choice(asked, "code", OF_CONTACTS)
        job = _job(request, job_id)
        found = outcomes(job, outcome=outcome, code=code)
        # Not by msgspec: a number may be text that is no UTF-8, as it was sent.
        rows = (codec.dumps(row).encode() for row in with_numbers(job, found[page.slice]))
        return spooled(with_array({}, "results", rows, {"pagination": page.describe(len(found))}))


class JobErrorsView(ApiView):
    """`GET /jobs/<id>/errors.csv`: the failed contacts, ready to be mended and sent again."""

    @schemas.job_errors
    def get(self, request: Request, job_id: UUID) -> HttpResponseBase:
        job = _job(request, job_id)
        return spooled(
            (line.encode() for line in errors_csv(job)),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="errors-{job.pk}.csv"'},
        )


class JobRetryView(ApiView):
    """`POST /jobs/<id>/retry`: run again what failed."""

    @schemas.job_retry
    def post(self, request: Request, job_id: UUID) -> Response:
        job = _job(request, job_id)
        control.retry(job.pk)
        send_next(job.account_id)
        return accepted(_job(request, job_id))


class JobCancelView(ApiView):
    """`POST /jobs/<id>/cancel`: stop what has not started."""

    @schemas.job_cancel
    def post(self, request: Request, job_id: UUID) -> Response:
        control.cancel(_job(request, job_id).pk)
        send_next(account_of(request).pk)
        return _described(_job(request, job_id))
