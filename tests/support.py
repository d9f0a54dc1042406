"""What tests share: new numbers, a client of the API, accounts."""

import itertools
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Account
from billing.models import BillingConfig, PaymentMethod
from contacts.models import SendingList
from core import sql
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.jobs.process import process
from ingestion.models import BulkJob
from journeys.models import Journey
from tests.client import LIST, Api, eventually
from trackly.api.examples import EXAMPLES, is_as_documented

__all__ = [
    "EXAMPLES",
    "LIST",
    "PRODUCT",
    "Api",
    "chargeable_account",
    "contact",
    "drive",
    "eventually",
    "is_as_documented",
    "joins",
    "new_account",
    "new_journey",
    "new_number",
    "new_numbers",
]

PRODUCT = ("accounts", "billing", "contacts", "core", "ingestion", "journeys", "lookups", "trackly")
"""The folders of the production image."""

# Contacts are global and tests share databases, so no number is used twice. 415-2xx and up are valid numbers.
_counter = itertools.count(secrets.randbelow(500_000))


def new_number() -> str:
    return f"+1415{2_000_000 + next(_counter)}"


def new_numbers(count: int) -> list[str]:
    return [new_number() for _ in range(count)]


def contact(phone_number: Any = None, **fields: Any) -> dict[str, Any]:
    """A contact object, of a new number unless one is given."""
    return {"phone_number": phone_number or new_number(), "list_number": LIST, **fields}


def joins(*lists: SendingList) -> dict[str, Any]:
    """A trigger: joining any of these lists."""
    test = {"kind": "list", "operator": "on", "lists": [made.pk for made in lists]}
    return {"kind": "all", "of": [test]}


@transaction.atomic
def new_journey(
    account: Account, trigger: dict[str, Any] | None, *steps: dict[str, Any], **fields: Any
) -> Journey:
    """An active journey, unless `status` says otherwise."""
    journey = Journey(account=account, trigger=trigger, **{"name": "Welcome", "status": "active", **fields})
    status, journey.status = journey.status, "draft"
    journey.save()
    journey.status = status
    journey.publish(list(steps))
    return journey


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that the block sends, by Django's cursors and by the hot path's own (core.sql)."""
    sent: list[str] = []
    original = sql._run

    def noting(statement: str, *arguments: Any) -> Any:
        sent.append(statement)
        return original(statement, *arguments)

    with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connection) as captured:
        patch.setattr(sql, "_run", noting)
        yield sent
    sent += [query["sql"] for query in captured]


def accept_batch(account: Account, *contacts: Any) -> tuple[BulkJob, list[int]]:
    """A job and its slices' ids, for tests that need no HTTP."""
    return accept(account, read_batch({"contacts": json.dumps(contacts).encode()}))


def drive(slice_ids: list[int]) -> None:
    """Process slices, and those that are made of them, until none is left."""
    while slice_ids:
        slice_ids += process(slice_ids.pop()).made


def chargeable_account() -> Account:
    """An account with a card."""
    made, _ = new_account()
    PaymentMethod.objects.create(billing=BillingConfig.objects.create(account=made), last_four="1")
    return made


def new_account(*, rejects_voip: bool = True) -> tuple[Account, SendingList]:
    """An account with one list, for tests that need no HTTP."""
    account = Account.objects.create(name="Test", rejects_voip=rejects_voip)
    return account, SendingList.objects.create(account=account, phone_number=LIST)
