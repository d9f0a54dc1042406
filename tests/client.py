"""A client of the running service; needs no Django, so programs that start their own stack use it too."""

import threading
from typing import Any

import httpx

LIST = "+18005551234"
"""The sending list that every test account has."""
_POLLS, _PAUSE_SECONDS = 30_000, 0.02
_never = threading.Event()


class Api(httpx.Client):
    """A client of the running service, with an account of its own."""

    def __init__(self, base: str, created: dict[str, Any]) -> None:
        super().__init__(
            base_url=f"{base}/api/v2", headers={"X-Api-Key": created["api_key"]}, timeout=60, trust_env=False
        )
        self.account_id: int = created["account_id"]
        self.numbers: list[str] = []

    def bulk(self, *contacts: Any, prefer: str | None = None) -> httpx.Response:
        headers = {"Prefer": prefer} if prefer else {}
        return self.post("/contacts/bulk", json={"contacts": list(contacts)}, headers=headers)

    def summary(self, *contacts: Any) -> dict[str, Any]:
        response = self.bulk(*contacts)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def job(self, response: httpx.Response) -> dict[str, Any]:
        """The job that a response's Location names, as it is now."""
        found: dict[str, Any] = self.get(response.headers["Location"].removeprefix("/api/v2")).json()
        return found

    def ended_job(self, response: httpx.Response) -> dict[str, Any]:
        """Poll as a client would, until the job has ended."""
        for _ in range(_POLLS):
            job = self.job(response)
            if job["status"] in {"completed", "failed", "cancelled"}:
                return job
            _never.wait(_PAUSE_SECONDS)  # those who are to end the job need the processor too
        raise AssertionError(f"the job does not end: {job}")
