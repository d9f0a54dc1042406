"""`GET /jobs`: a page of an account's jobs, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contacts.bulk.models import BulkJob, JobKind, JobStatus
from trackly import sql
from trackly.api.query import Page

# Of each kind and status the newest jobs come from the index bulk_job_listed alone, in order; those few are
# merged by date. So a page costs the same whatever is filtered for, and however rare it is. A WHERE with all
# kinds and statuses would have to read all jobs of the account, or to sort them.
_PAGE = """
SELECT job.id
FROM unnest(%(kinds)s::text[]) AS kinds (kind), unnest(%(statuses)s::text[]) AS statuses (status),
LATERAL (
    SELECT id, created_at FROM bulk_bulkjob
    WHERE account_id = %(account)s AND kind = kinds.kind AND status = statuses.status
        AND created_at >= %(after)s AND created_at < %(before)s
    ORDER BY created_at DESC, id DESC LIMIT %(reach)s
) AS job
ORDER BY job.created_at DESC, job.id DESC LIMIT %(size)s OFFSET %(offset)s
"""

_COUNT = """
SELECT count(*) AS found FROM bulk_bulkjob
WHERE account_id = %(account)s AND kind = ANY(%(kinds)s::text[]) AND status = ANY(%(statuses)s::text[])
    AND created_at >= %(after)s AND created_at < %(before)s
"""

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
    [counted] = sql.rows(_COUNT, about)
    total = int(counted["found"])
    if page.offset >= total:
        return [], total
    reach = {"reach": page.offset + page.per_page, "size": page.per_page, "offset": page.offset}
    ids = [row["id"] for row in sql.rows(_PAGE, {**about, **reach})]
    found = BulkJob.objects.defer("summary", "request_digest").in_bulk(ids)
    return [found[job_id] for job_id in ids if job_id in found], total
