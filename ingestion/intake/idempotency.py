"""`Idempotency-Key`: the same request sent again is answered with the first job, never a second one."""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError
from django.http import HttpRequest
from django.utils import timezone
from psycopg import errors

from accounts.models import Account
from core.http.errors import ApiError, invalid_parameter
from ingestion.models import BulkJob

KEPT = timedelta(hours=24)
_VISIBLE = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True)
class IdempotencyKey:
    """The client's key, and a digest of the request that bears it."""

    key: str
    digest: bytes


def key_of(request: HttpRequest, body: bytes) -> IdempotencyKey | None:
    """The request's key, if it has one. Raises 400 if that is not 1 to 255 visible ASCII characters."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _VISIBLE.fullmatch(key):
        raise invalid_parameter("Idempotency-Key", "must be 1 to 255 visible characters")
    return IdempotencyKey(key, hashlib.sha256(request.path.encode() + b"\n" + body).digest())


def find(account: Account, once: IdempotencyKey) -> BulkJob | None:
    """The job that the key was first used for, in the last 24 hours.

    Raises 422 `idempotency_key_reused` if that was another request.
    """
    job = BulkJob.objects.filter(account=account, idempotency_key=once.key).first()
    if job is None:
        return None
    if job.created_at < timezone.now() - KEPT:
        BulkJob.objects.filter(pk=job.pk).update(idempotency_key=None)
        return None
    if bytes(job.request_digest or b"") != once.digest:
        raise ApiError(
            422, "idempotency_key_reused", "This Idempotency-Key was used for another request already."
        )
    return job


def is_taken(error: IntegrityError) -> bool:
    """Whether the database refused a second job with a key."""
    cause = error.__cause__
    return (
        isinstance(cause, errors.UniqueViolation) and cause.diag.constraint_name == "bulk_job_idempotency_key"
    )
