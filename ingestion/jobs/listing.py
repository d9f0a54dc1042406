"""`GET /jobs`: a page of an account's jobs, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core import sql
from core.http.query import Page
from ingestion.models import BulkJob, JobKind, JobStatus

# Each kind and status has its jobs in order in the index bulk_job_listed. A page takes as many of each as it
# may need and merges them, so it costs the same whatever is filtered for, and however rare that is. LATERAL:
# left to itself the planner reads all jobs and sorts them where most of them are of one kind and status. The
# count reads the same index, and no row: 0.2 s of CPU for a million jobs of an account (a first page 0.6 ms).
_EACH = """
FROM unnest(%(kinds)s::text[]) AS kinds (kind), unnest(%(statuses)s::text[]) AS statuses (status),
LATERAL (
    SELECT {what} FROM bulk_bulkjob
    WHERE account_id = %(account)s AND kind = kinds.kind AND status = statuses.status
        AND created_at >= %(after)s AND created_at < %(before)s
    {some}
) AS job
"""
_PAGE = f"""
SELECT job.id {_EACH.format(what="id, created_at", some="ORDER BY created_at DESC, id DESC LIMIT %(reach)s")}
ORDER BY job.created_at DESC, job.id DESC LIMIT %(size)s OFFSET %(offset)s
"""
_COUNT = f"SELECT sum(job.many)::bigint AS total {_EACH.format(what='count(*) AS many', some='')}"

_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs are asked for; None: all."""

    status: str | None = None
    kind: str | None = None
    created_after: datetime | None = None
    """Included: what was created at that moment, or later."""
    created_before: datetime | None = None
    """Excluded, so that of two adjacent spans each job is in one."""


def jobs(account_id: int, wanted: JobFilter, page: Page) -> tuple[Sequence[BulkJob], int]:
    """The account's jobs on the page, newest first, without their summaries; and how many on all pages."""
    about: dict[str, Any] = {
        "account": account_id,
        "kinds": [wanted.kind] if wanted.kind else JobKind.values,
        "statuses": [wanted.status] if wanted.status else JobStatus.values,
        "after": wanted.created_after or _EVER[0],
        "before": wanted.created_before or _EVER[1],
    }
    reach = {"reach": page.offset + page.per_page, "size": page.per_page, "offset": page.offset}
    ids = [row["id"] for row in sql.rows(_PAGE, {**about, **reach})]
    if 0 < len(ids) < page.per_page:  # the last page: the total is known
        total = page.offset + len(ids)
    else:
        [counted] = sql.rows(_COUNT, about)
        total = int(counted["total"])
    found = BulkJob.objects.defer("summary", "request_digest").in_bulk(ids)
    return [found[job_id] for job_id in ids if job_id in found], total
