"""What tests share: new numbers, a client of the API, accounts."""

import itertools
import json
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from contacts.models import SendingList
from journeys.models import Journey
from trackly import sql
from trackly.accounts.models import Account

T = TypeVar("T")
LIST = "+18005551234"
EXAMPLES = json.loads((settings.BASE_DIR / "trackly/api/examples.json").read_text())

# Contacts are global and tests share databases, so no number is used twice. 415-2xx and up are valid numbers.
_counter = itertools.count(secrets.randbelow(500_000))


def new_number() -> str:
    return f"+1415{2_000_000 + next(_counter)}"


def new_numbers(count: int) -> list[str]:
    return [new_number() for _ in range(count)]


def contact(phone_number: Any = None, **fields: Any) -> dict[str, Any]:
    """A contact object, of a new number unless one is given."""
    return {"phone_number": phone_number or new_number(), "list_number": LIST, **fields}


_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For all clients, who talk in the clear; httpx would read all certificates for each of them."""
_POLLS, _PAUSE_SECONDS = 30_000, 0.02
_never = threading.Event()


def eventually(look: Callable[[], T], is_right: Callable[[T], bool] = bool) -> T:
    """What `look` returns once that is right; it is called every now and then, for ten minutes at least."""
    for _ in range(_POLLS):
        if is_right(seen := look()):
            return seen
        _never.wait(_PAUSE_SECONDS)  # those who are to make it right need the processor too
    raise AssertionError(f"it stays {seen!r}")


class Api(httpx.Client):
    """A client of the running service, with an account of its own."""

    def __init__(self, base: str, created: dict[str, Any]) -> None:
        super().__init__(
            base_url=f"{base}/api/v2",
            headers={"X-Api-Key": created["api_key"]},
            timeout=120,
            trust_env=False,
            verify=_NO_TLS,
        )
        self.account_id: int = created["account_id"]
        self.numbers: list[str] = []

    def bulk(self, *contacts: Any, prefer: str | None = None) -> httpx.Response:
        headers = {"Prefer": prefer} if prefer else {}
        return self.post("/contacts/bulk", json={"contacts": list(contacts)}, headers=headers)

    def summary(self, *contacts: Any) -> dict[str, Any]:
        """What became of a batch; on a slow machine it may end after the request was answered."""
        response = self.bulk(*contacts)
        assert response.status_code in {200, 202}, response.text
        late = response.status_code == 202
        found: dict[str, Any] = self.ended_job(response)["summary"] if late else response.json()
        return found

    def job(self, response: httpx.Response) -> dict[str, Any]:
        """The job that a response's Location names, as it is now."""
        found: dict[str, Any] = self.get(response.headers["Location"].removeprefix("/api/v2")).json()
        return found

    def ended_job(self, response: httpx.Response) -> dict[str, Any]:
        """Poll as a client would, until the job has ended."""
        ended = {"completed", "failed", "cancelled"}
        return eventually(lambda: self.job(response), lambda job: job["status"] in ended)


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
    """The statements that the block sends, by Django's cursors and by the hot path's own (trackly.sql)."""
    sent: list[str] = []
    original = sql.rows

    def noting(statement: str, parameters: Any) -> Any:
        sent.append(statement)
        return original(statement, parameters)

    with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connection) as captured:
        patch.setattr(sql, "rows", noting)
        yield sent
    sent += [query["sql"] for query in captured]


def new_account(*, rejects_voip: bool = True) -> tuple[Account, SendingList]:
    """An account with one list, for tests that need no HTTP."""
    account = Account.objects.create(name="Test", rejects_voip=rejects_voip)
    return account, SendingList.objects.create(account=account, phone_number=LIST)
