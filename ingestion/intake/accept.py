"""Acceptance: from the body's bytes to a job and its slices in the database. From then on nothing is lost."""

import structlog
from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from accounts.models import Account
from billing.gate import require_billable
from core import sql
from core.http import request_log
from core.http.errors import ApiError
from ingestion.batch import Batch, cut, pack
from ingestion.intake import idempotency
from ingestion.intake.backlog import require_room
from ingestion.intake.idempotency import IdempotencyKey
from ingestion.jobs import fairness
from ingestion.models import BulkJob, BulkSlice, JobKind

logger = structlog.get_logger(__name__)

_UNKNOWN_END = (
    "The connection to the database broke while the batch was being accepted,"
    " and whether it was is not known."
    " Send it again with the same Idempotency-Key, or look for it in GET /jobs."
)


_NOT_FOR_EVER = "SET LOCAL lock_timeout = '10s'"
"""For a first try that the server has not noticed to be over."""

# One statement for the job and its slices. They are sent at once, unless the account has enough jobs among
# the workers (ingestion.jobs.fairness).
_INSERT = f"""
WITH job AS (
    INSERT INTO bulk_bulkjob (
        id, account_id, kind, status, total, processed, success_count, error_count, created_at, sent_at,
        summary, idempotency_key, request_digest, request_id
    )
    VALUES (
        %(id)s, %(account)s, %(kind)s, 'queued', %(total)s, 0, 0, 0, clock_timestamp(),
        CASE WHEN ({fairness.IN_FLIGHT}) < %(limit)s THEN clock_timestamp() END,
        '', %(key)s, %(digest)s, %(request)s
    )
    RETURNING id, created_at, sent_at
)
INSERT INTO bulk_bulkslice (
    job_id, lane, status, size, payload, attempts, claimed_by, sent_at, success_count, error_count,
    contacts_created, list_contacts_created, journeys_enrolled, results, errors, lists
)
SELECT job.id, 'ingest', 'pending', part.size, part.payload, 0, '', job.sent_at, 0, 0,
    0, 0, 0, '[]', '[]', '{{}}'
FROM job, unnest(%(sizes)s::int[], %(payloads)b::bytea[]) AS part (size, payload)
RETURNING id, sent_at, (SELECT created_at FROM job)
"""


def accept(
    account: Account, batch: Batch, *, kind: JobKind = JobKind.BULK, once: IdempotencyKey | None = None
) -> tuple[BulkJob, list[int]]:
    """Make the batch durable: one job and its slices, in one transaction; returns the job and slice ids.

    With an idempotency key that the account has used already, the first job and no slices. Raises 402 if a
    contact asks for paid validation and the account may not be billed, 422 if the key was used for another
    request, 503 if too much work is waiting; then nothing is kept.
    """
    if once is not None and (first := idempotency.find(account, once)):
        return first, []
    if batch.asks_for_validation:
        require_billable(account)
    require_room(account.pk)
    job = BulkJob(account=account, kind=kind, total=len(batch.items), request_id=request_log.request_id())
    if once is not None:
        job.idempotency_key, job.request_digest = once.key, once.digest
    try:
        return job, _keep(job, batch)
    except IntegrityError as exc:
        # Of requests with one key that arrive at once, all but the first wait for it here, and then meet it.
        if once is None or not idempotency.is_taken(exc) or not (first := idempotency.find(account, once)):
            raise
        return first, []


def _keep(job: BulkJob, batch: Batch) -> list[int]:
    """Commit the job and its slices; the slices' ids.

    Where the connection breaks during the commit, its outcome is unknown. A second try under the same id
    waits for the end of the first transaction, and finds the job if it was committed. Raises 500 if that
    fails too.
    """
    committing = False
    try:
        with transaction.atomic():
            made = _insert(job, batch)
            committing = True
    except (OperationalError, InterfaceError) as exc:
        if not committing:
            raise
        logger.warning("acceptance_interrupted", job=str(job.pk), exc_info=exc)
        made = _keep_after_all(job, batch)
    return made


def _keep_after_all(job: BulkJob, batch: Batch) -> list[int]:
    connection.close()
    try:
        try:
            with transaction.atomic():
                sql.rows(_NOT_FOR_EVER, {})
                return _insert(job, batch)
        except IntegrityError:
            slices = list(BulkSlice.objects.filter(job=job).values_list("pk", flat=True))
            if not slices:
                raise  # another request has used the idempotency key
            job.refresh_from_db()
            return slices
    except (OperationalError, InterfaceError) as exc:
        raise ApiError(500, "internal_error", _UNKNOWN_END) from exc


def _insert(job: BulkJob, batch: Batch) -> list[int]:
    slices = cut(batch.groups, settings.TRACKLY_SLICE_SIZE)
    sql.prefer_indexes()  # for the check that a slice has a job
    made = sql.rows(
        _INSERT,
        {
            "id": job.pk,
            "account": job.account_id,
            "kind": job.kind,
            "total": job.total,
            "key": job.idempotency_key,
            "digest": job.request_digest,
            "request": job.request_id,
            "limit": settings.TRACKLY_JOBS_IN_FLIGHT,
            "sizes": [len(items) for items in slices],
            "payloads": [pack(sorted(items)) for items in slices],
        },
    )
    job.created_at, job.sent_at = made[0]["created_at"], made[0]["sent_at"]
    return [row["id"] for row in made]
