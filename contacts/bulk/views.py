"""`POST /contacts/bulk` and the jobs. A view checks and answers; the work is elsewhere."""

from uuid import UUID

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contacts.bulk.accept import accept, read_batch
from contacts.bulk.answers import RETRY_AFTER_SECONDS, accepted_or_summary, describe
from contacts.bulk.models import BulkJob, Lane
from contacts.bulk.tasks import fan_out
from trackly.accounts.authentication import account_of
from trackly.api.body import read_object
from trackly.api.prefer import wait_of


class BulkContactsView(APIView):
    """Contract, "POST /contacts/bulk"."""

    def post(self, request: Request) -> Response:
        batch = read_batch(read_object(request._request))  # noqa: SLF001 - DRF's public parsers would read it
        job, slice_ids = accept(account_of(request), batch)
        fan_out(job.pk, slice_ids, Lane.INGEST)
        return accepted_or_summary(job, wait_of(request._request))  # noqa: SLF001


class JobView(APIView):
    """Contract, "GET /jobs/<job_id>"."""

    def get(self, request: Request, job_id: UUID) -> Response:
        job = BulkJob.objects.filter(pk=job_id, account=account_of(request)).first()
        if job is None:
            raise Http404
        headers = {} if job.has_ended else {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return Response(describe(job), headers=headers)
