"""Acceptance: what becomes a job, and how it is cut into slices."""

import json
from typing import Any

import pytest

from contacts.bulk.accept import Batch, accept, cut, read_batch, unpack
from contacts.bulk.models import BulkJob, BulkSlice
from tests.support import new_account
from trackly.api.errors import ApiError


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
