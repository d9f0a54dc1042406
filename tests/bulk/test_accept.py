"""Acceptance: what becomes a job, and how it is cut into slices."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.db import OperationalError, connections

from core.http.errors import ApiError
from ingestion.batch import Batch, cut, pack, read_batch, unpack
from ingestion.intake.accept import accept
from ingestion.intake.idempotency import IdempotencyKey
from ingestion.models import BulkJob, BulkSlice
from tests.support import new_account


def batch_of(*contacts: Any) -> Batch:
    return read_batch({"contacts": json.dumps(contacts).encode()})


def test_contacts_of_a_number_stand_together_in_order() -> None:
    batch = batch_of({"phone_number": "a"}, {"phone_number": "b"}, 7, {"phone_number": "\u0061"}, {}, {})
    assert [[index for index, _ in group] for group in batch.groups] == [[0, 3], [1], [2], [4], [5]]


def test_a_group_is_never_cut() -> None:
    groups = [[(index, b"")] for index in range(5)]
    assert [len(part) for part in cut(groups, 2)] == [2, 2, 1]
    assert [len(part) for part in cut([[(0, b"")] * 3, [(3, b"")]], 1)] == [3, 1]
    assert cut([], 10) == []


@pytest.mark.parametrize(
    ("contact", "asks"),
    [
        ('{"use_validation": true}', True),
        (r'{"use_\u0076alidation": true}', True),
        (r'{"x": "\ud800", "use_validation": true}', True),
        ('{"use_validation": false}', False),
        ('{"use_validation": "true"}', False),
        ('{"use_validation": 1}', False),
        ('{"use_validation": true, "use_validation": false}', False),
        ('[{"use_validation": true}]', False),
        ('{"x": {"use_validation": true}}', False),
    ],
)
def test_whether_the_batch_asks_for_paid_validation(contact: str, asks: bool) -> None:
    assert read_batch({"contacts": f"[{contact}]".encode()}).asks_for_validation is asks


@pytest.mark.django_db
def test_job_and_slices_hold_the_contacts_as_sent(settings: Any) -> None:
    settings.TRACKLY_SLICE_SIZE = 2
    account, _ = new_account()
    raw = [
        b'{"phone_number":  "a"}',
        b'{"phone_number":"b","x":"\\ud800"}',
        b'{ "phone_number":"a"}',
        b"null",
    ]
    job, slice_ids = accept(account, read_batch({"contacts": b"[" + b",".join(raw) + b"]"}))
    assert (job.total, job.status) == (4, "queued")
    slices = [unpack(part.payload) for part in BulkSlice.objects.filter(pk__in=slice_ids).order_by("pk")]
    assert slices == [[(0, raw[0]), (2, raw[2])], [(1, raw[1]), (3, raw[3])]]


@pytest.mark.django_db
def test_a_refused_batch_leaves_nothing() -> None:
    account, _ = new_account()
    with pytest.raises(ApiError) as refused:
        accept(account, batch_of({"use_validation": True}))
    assert (refused.value.status, refused.value.code) == (402, "no_billing_config")
    assert not BulkJob.objects.exists()


@pytest.fixture
def loses_commits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`loses_commits("made", "not")`: the next two commits get no answer; the first one was made."""
    wrapper: Any = type(connections["default"])
    original = wrapper._commit

    def lose(*ends: str) -> None:
        left = list(ends)

        def commit(self: Any) -> None:
            if not left:
                original(self)
                return
            if left.pop(0) == "made":
                original(self)
            self.connection.close()
            raise OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(wrapper, "_commit", commit)

    return lose


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["made", "not"])
def test_a_commit_whose_answer_is_lost_is_looked_into(loses_commits: Callable[..., None], end: str) -> None:
    account, _ = new_account()
    once = IdempotencyKey("a", b"1")
    loses_commits(end)
    job, slice_ids = accept(account, batch_of({}, {}), once=once)
    assert BulkJob.objects.get().pk == job.pk
    assert list(BulkSlice.objects.values_list("pk", flat=True)) == slice_ids
    assert accept(account, batch_of({}, {}), once=once) == (job, [])


@pytest.mark.django_db(transaction=True)
def test_a_commit_of_which_nothing_can_be_learned_says_so(loses_commits: Callable[..., None]) -> None:
    account, _ = new_account()
    loses_commits("made", "not")
    # The second try meets the first one's row, so only a database that is away leaves it open.
    job, _ = accept(account, batch_of({}))
    assert BulkJob.objects.get().pk == job.pk
    loses_commits("not", "not")
    with pytest.raises(ApiError, match="whether it was is not known") as refused:
        accept(account, batch_of({}))
    assert (refused.value.status, refused.value.code) == (500, "internal_error")
    assert BulkJob.objects.count() == 1


def test_a_payload_comes_back_as_it_was_also_one_of_before_there_was_compression() -> None:
    items = [(0, b'{"phone_number": "+14155550100"}'), (7, b"\xff\x00")]
    assert unpack(pack(items)) == items
    assert unpack(memoryview(pack(items))) == items
    assert unpack(msgspec.msgpack.encode(items)) == items
    assert unpack(msgspec.msgpack.encode(items * 400)) == items * 400
    assert len(pack(items * 400)) < len(msgspec.msgpack.encode(items * 400)) / 5
