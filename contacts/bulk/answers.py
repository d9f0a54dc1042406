"""What a client is told of a job."""

from datetime import UTC, datetime
from typing import Any

from rest_framework.response import Response

from contacts.bulk.models import BulkJob
from contacts.bulk.waiting import wait_for
from trackly.api import json
from trackly.api.prefer import Wait

RETRY_AFTER_SECONDS = 1


def path_of(job: BulkJob) -> str:
    return f"/api/v2/jobs/{job.pk}"


def accepted_or_summary(job: BulkJob, wait: Wait) -> Response:
    """200 with the summary if the job ends within `wait`, else 202 (contract, "The answer"; RFC 7240)."""
    ended = wait_for(job.pk, wait.seconds)
    if ended is not None:
        response = Response(json.Raw(ended.summary.encode()), headers={"Location": path_of(job)})
    else:
        body = {"job_id": str(job.pk), "status": job.status, "status_url": path_of(job), "total": job.total}
        headers = {"Location": path_of(job), "Retry-After": str(RETRY_AFTER_SECONDS)}
        response = Response(body, status=202, headers=headers)
    if wait.applied:
        response["Preference-Applied"] = wait.applied
    return response


def describe(job: BulkJob) -> dict[str, Any]:
    """The job as `GET /jobs/<job_id>` shows it, from its row alone."""
    return {
        "job_id": str(job.pk),
        "kind": job.kind,
        "status": job.status,
        "total": job.total,
        "processed": job.processed,
        "progress": job.processed / job.total,
        "success_count": job.success_count,
        "error_count": job.error_count,
        "created_at": _moment(job.created_at),
        "started_at": _moment(job.started_at),
        "completed_at": _moment(job.completed_at),
        "summary": json.Raw(job.summary.encode()) if job.summary else None,
    }


def _moment(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
