"""A batch on its way: from a request's array to the payloads of slices, and back."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
from django.db.models.functions import Now

from contacts import payload
from core import codec
from core.http import request_log
from core.http.body import read_items
from core.http.errors import ApiError
from ingestion.models import BulkJob, BulkSlice, Lane

MAX_CONTACTS = 1_000


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
    """What acceptance must know of contacts that have not been checked yet."""
    groups: dict[object, list[Item]] = {}
    asks = False
    for item in items:
        key: object = item[0]  # an unreadable contact is a duplicate of no other
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
