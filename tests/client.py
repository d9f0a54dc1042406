"""A client of the running service; needs no Django, so programs that start their own stack use it too."""

import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

T = TypeVar("T")
LIST = "+18005551234"
"""The sending list that every test account has."""
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For all clients, who talk in the clear; httpx would read all certificates for each of them."""
_PATIENCE_SECONDS, _PAUSE_SECONDS = 300.0, 0.02
_never = threading.Event()


def eventually(look: Callable[[], T], is_right: Callable[[T], bool] = bool) -> T:
    """What `look` returns once that is right; it is called every now and then, for five minutes at least."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not is_right(seen := look()):
        if time.monotonic() > until:
            raise AssertionError(f"it stays {seen!r}")
        _never.wait(_PAUSE_SECONDS)  # those who are to make it right need the processor too
    return seen


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
