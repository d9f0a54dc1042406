"""Clients who post batches, each on an account of its own, and keep what they were told."""

import random
import socket
import threading
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from tests import slow
from tests.client import LIST, Api

_SIZES = (1, 3, 10, 50, 200, 600)
_BAD_NUMBER = "no number"
_PAUSE_SECONDS = 0.1
_PREFERENCES = ("respond-async", "wait=2", "wait=10")
_REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}


@dataclass
class Batch:
    """What was sent, and what became of the sending."""

    contacts: list[dict[str, Any]]
    key: str | None
    job_id: str | None = None

    @property
    def good(self) -> list[dict[str, Any]]:
        return [sent for sent in self.contacts if sent["phone_number"] != _BAD_NUMBER]

    @property
    def bad_indexes(self) -> list[int]:
        return [index for index, sent in enumerate(self.contacts) if sent["phone_number"] == _BAD_NUMBER]


@dataclass
class Told:
    """What one client knows in the end."""

    accepted: list[Batch] = field(default_factory=list)
    unknown: list[Batch] = field(default_factory=list)
    """Sent without a key, and no answer came: all of it took effect, or nothing."""
    refused: list[Batch] = field(default_factory=list)
    """Nothing of it took effect."""
    answers: Counter[str] = field(default_factory=Counter)


class Client(threading.Thread):
    """Posts until `over` is set, and then until what it has begun is answered.

    `numbers` hands out numbers that nobody else uses; `shared` are everybody's.
    """

    def __init__(
        self, api: Api, seed: int, numbers: "Numbers", shared: list[str], over: threading.Event
    ) -> None:
        super().__init__()
        self.api = api
        self.told = Told()
        self._random = random.Random(seed)  # noqa: S311 - not a secret
        self._numbers, self._shared, self._over = numbers, shared, over
        self._mine: list[str] = []
        self._sent = 0
        self._never = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            draw = self._random.random()
            if draw < 0.1:
                self._send_refused()
            elif draw < 0.2:
                self._send_once()
            else:
                self._send_until_answered()

    def _batch(self, *, keyed: bool) -> Batch:
        self._sent += 1
        contacts = [self._contact() for _ in range(self._random.choice(_SIZES))]
        return Batch(contacts, f"{self.api.account_id}-{self._sent}" if keyed else None)

    def _contact(self) -> dict[str, Any]:
        draw = self._random.random()
        if draw < 0.02:
            number = _BAD_NUMBER
        elif draw < 0.07:
            number = self._random.choice(self._shared)
        elif draw < 0.17 and self._mine:
            number = self._random.choice(self._mine)
        else:
            number = self._numbers.next()
            self._mine = [*self._mine[-99:], number]
        return {
            "phone_number": number,
            "list_number": LIST,
            "use_journeys": True,
            "use_validation": self._random.random() < 0.03,
            "custom_fields": {"sent": self._sent},
        }

    def _post(self, batch: Batch, **headers: str) -> httpx.Response:
        if batch.key is not None:
            headers["Idempotency-Key"] = batch.key
        if self._random.random() < 0.7:
            headers["Prefer"] = self._random.choice(_PREFERENCES)
        return self.api.post("/contacts/bulk", json={"contacts": batch.contacts}, headers=headers)

    def _send_until_answered(self) -> None:
        batch = self._batch(keyed=True)
        while not self._is_accepted(self._try(batch), batch):
            self._never.wait(_PAUSE_SECONDS)

    def _send_once(self) -> None:
        """A client that knows no keys: where no answer came, or 500, it does not know."""
        batch = self._batch(keyed=False)
        response = self._try(batch)
        if self._is_accepted(response, batch):
            return
        if response is not None and response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            self.told.refused.append(batch)
        else:
            self.told.unknown.append(batch)

    def _try(self, batch: Batch) -> httpx.Response | None:
        try:
            response = self._post(batch)
        except httpx.TransportError as exc:
            self.told.answers[type(exc).__name__] += 1
            return None
        self.told.answers[str(response.status_code)] += 1
        return response

    def _is_accepted(self, response: httpx.Response | None, batch: Batch) -> bool:
        if response is None or response.status_code not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            return False
        batch.job_id = response.headers["Location"].rsplit("/", 1)[1]
        self.told.accepted.append(batch)
        return True

    def _send_refused(self) -> None:
        """What must be refused whatever happens: a wrong key, too many contacts, none."""
        batch = Batch([{"phone_number": self._numbers.next(), "list_number": LIST}], None)
        kind = self._random.choice(("key", "many", "none"))
        try:
            if kind == "key":
                response = self._post(batch, **{"X-Api-Key": "trk_" + "a" * 32})
            elif kind == "many":
                response = self.api.bulk(*batch.contacts * 1_001)
            else:
                response = self.api.post("/contacts/bulk", json={"contact": batch.contacts})
        except httpx.TransportError as exc:
            self.told.answers[type(exc).__name__] += 1
        else:
            self.told.answers[str(response.status_code)] += 1
            assert response.status_code in _REFUSED or response.status_code >= 500, response.text
        self.told.refused.append(batch)


class SlowClients(threading.Thread):
    """Connections that never end what they began, until `over` is set: heads, bodies, and unread answers.

    The oldest makes way for a new one, so that each kind comes upon each state of the web server.
    """

    MANY = 150
    _PAUSE_SECONDS = 0.05

    def __init__(self, port: int, api_key: str, seed: int, over: threading.Event) -> None:
        super().__init__()
        self.opened = 0
        self._port, self._over = port, over
        self._random = random.Random(seed)  # noqa: S311 - not a secret
        self._texts = ["", *slow.texts(api_key).values()]

    def run(self) -> None:
        held = deque[socket.socket]()
        while not self._over.wait(self._PAUSE_SECONDS):
            with suppress(OSError):  # the web server is down, or closes what takes too long
                held.append(slow.connect(self._port, self._random.choice(self._texts), patience=2))
                self.opened += 1
            if len(held) > self.MANY:
                held.popleft().close()
        for connection in held:
            connection.close()


class Numbers:
    """Valid numbers, each once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given = 0

    def next(self) -> str:
        with self._lock:
            given, self._given = self._given, self._given + 1
        areas = ("415", "650", "212", "617", "312", "206")
        area, rest = divmod(given, 7_000_000)
        return f"+1{areas[area]}{2_000_000 + rest}"
