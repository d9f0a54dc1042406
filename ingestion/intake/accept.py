"""Acceptance: from the body's bytes to a job and its slices in the database. From then on nothing is lost."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now

from accounts.models import Account
from billing.gate import require_billable
from contacts import payload
from core import codec, sql
from core.http import request_log
from core.http.body import read_items
from core.http.errors import ApiError
from ingestion.intake import idempotency
from ingestion.intake.backlog import require_room
from ingestion.intake.idempotency import IdempotencyKey
from ingestion.jobs import fairness
from ingestion.models import BulkJob, BulkSlice, JobKind, Lane

logger = structlog.get_logger(__name__)

MAX_CONTACTS = 1_000
_UNKNOWN_END = (
    "The connection to the database broke while the batch was being accepted,"
    " and whether it was is not known."
    " Send it again with the same Idempotency-Key, or look for it in GET /jobs."
)

Item = tuple[int, bytes]
"""A contact on its way: its index in the request's array, and its bytes as sent."""


class _Head(msgspec.Struct):
    """The two members that acceptance looks at; the rest is the worker's."""

    phone_number: Any = None
    use_validation: Any = None


@dataclass(frozen=True)
class Batch:
    """The contacts of a request, taken apart but not yet checked."""

    items: list[Item]
    groups: list[list[Item]]
    """The same items; those of one phone number stand together, in order."""
    asks_for_validation: bool


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
"""  # noqa: S608 - put together from constants

_head = msgspec.json.Decoder(_Head).decode
_encode_items = msgspec.msgpack.Encoder().encode
_decode_items = msgspec.msgpack.Decoder(list[Item]).decode
_ZLIB = b"\x78"
"""The first byte of what zlib has compressed, and of no list in msgpack."""


def pack(items: Sequence[Item]) -> bytes:
    """The payload of a slice. Compressed here, PostgreSQL need not: that takes three times as long there."""
    return zlib.compress(_encode_items(items), 1)


def unpack(payload: bytes | memoryview) -> list[Item]:
    """The items of a slice's payload."""
    packed = bytes(payload)
    return _decode_items(zlib.decompress(packed) if packed.startswith(_ZLIB) else packed)


def read_batch(members: dict[str, bytes]) -> Batch:
    """The batch in a request's JSON object.

    Raises 400 `invalid_json` for a contact that is nested beyond the body's limit, 400 `missing_contacts`,
    413 `too_many_contacts`.
    """
    items = list(enumerate(read_items(members.get("contacts", b""))))
    request_log.note(contacts=len(items))
    if not items:
        raise ApiError(400, "missing_contacts", "The contacts array was not provided, or is empty.")
    if len(items) > MAX_CONTACTS:
        raise ApiError(
            413, "too_many_contacts", f"{len(items):,} contacts; a request holds {MAX_CONTACTS:,} at most."
        )
    return look_over(items)


def look_over(items: list[Item]) -> Batch:
    """What acceptance must know of contacts that nobody has checked yet."""
    groups: dict[object, list[Item]] = {}
    asks = False
    for item in items:
        key: object = item[0]  # what can't be read is nobody's twin
        try:
            head = _head(item[1])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            asks = asks or _asks_for_validation(item[1])
        else:
            asks = asks or head.use_validation is True
            key = head.phone_number if isinstance(head.phone_number, str) else key
        groups.setdefault(key, []).append(item)
    return Batch(items=items, groups=list(groups.values()), asks_for_validation=asks)


def phone_number_of(raw: bytes) -> str | None:
    """The number of a contact, if it is a text, by the little reading that acceptance does."""
    try:
        number = _head(raw).phone_number
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return number if isinstance(number, str) else None


def _asks_for_validation(raw: bytes) -> bool:
    """The same for what msgspec refuses: no object, a lone surrogate in a name."""
    if payload.is_too_deep(raw):
        return False  # it will be an invalid contact
    value = codec.loads(raw)
    return isinstance(value, dict) and value.get("use_validation") is True


def cut(groups: Sequence[Sequence[Item]], size: int) -> list[list[Item]]:
    """Slices of about `size` contacts. A group is never cut: its contacts are applied in order, together."""
    if 0 < sum(map(len, groups)) <= size:
        return [list(chain.from_iterable(groups))]
    slices: list[list[Item]] = []
    for group in groups:
        if not slices or len(slices[-1]) + len(group) > size:
            slices.append([])
        slices[-1].extend(group)
    return slices


def new_slice(job: BulkJob, items: list[Item], lane: Lane, *, counted_as_errors: bool = False) -> BulkSlice:
    """A slice that is not saved yet. `counted_as_errors`: the job's counters hold its contacts already."""
    errors = len(items) if counted_as_errors else 0
    return BulkSlice(
        job=job, lane=lane, size=len(items), error_count=errors, payload=pack(items), sent_at=Now()
    )


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

    Where the connection breaks while it commits, nobody knows which way that went. A second try under the
    same id waits for the first one's end, and meets the job if it was kept. Raises 500 if that fails too.
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
