"""What a client is told of a job."""

from typing import Any

from rest_framework.response import Response

from core import codec
from core.codec import moment
from core.http.prefer import Wait
from ingestion.jobs.results import summary_of
from ingestion.jobs.waiting import wait_for
from ingestion.models import BulkJob

RETRY_AFTER_SECONDS = 1


def path_of(job: BulkJob) -> str:
    return f"/api/v2/jobs/{job.pk}"


def accepted_or_summary(job: BulkJob, wait: Wait) -> Response:
    """200 with the summary if the job ends within `wait`, else 202 (contract, "The answer"; RFC 7240)."""
    job, granted = wait_for(job, wait.seconds)
    if job.has_ended:
        response = Response(_raw_summary(job), headers={"Location": path_of(job)})
    else:
        response = accepted(job)
    return set_preference_headers(response, wait, granted=granted)


def set_preference_headers(response: Response, wait: Wait, *, granted: bool) -> Response:
    """Say which preference was followed (RFC 7240, 3); and that the answer depends on it."""
    response["Vary"] = "Prefer"
    if wait.applied and granted:
        response["Preference-Applied"] = wait.applied
    return response


def accepted(job: BulkJob) -> Response:
    """202: the work goes on, and this is where to ask for it."""
    body = {"job_id": str(job.pk), "status": job.status, "status_url": path_of(job), "total": job.total}
    return Response(
        body, status=202, headers={"Location": path_of(job), "Retry-After": str(RETRY_AFTER_SECONDS)}
    )


def describe(job: BulkJob, *, with_summary: bool = True) -> dict[str, Any]:
    """The job as `GET /jobs/<job_id>` shows it."""
    described: dict[str, Any] = {
        "job_id": str(job.pk),
        "kind": job.kind,
        "status": job.status,
        "total": job.total,
        "processed": job.processed,
        "progress": job.processed / job.total,
        "success_count": job.success_count,
        "error_count": job.error_count,
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "completed_at": moment(job.completed_at),
        "results_url": f"{path_of(job)}/results",
    }
    if job.error_count:
        described["errors_url"] = f"{path_of(job)}/errors.csv"
    if with_summary:
        described["summary"] = _raw_summary(job)
    return described


def _raw_summary(job: BulkJob) -> codec.Raw | None:
    summary = summary_of(job)
    return None if summary is None else codec.Raw(summary)
