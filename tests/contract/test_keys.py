"""API keys with scopes, end dates and successors, over HTTP (contract, "Reading")."""

import json
from typing import Any

import httpx

from tests.conftest import RunningStack
from tests.support import LIST, contact


def made(stack: RunningStack, *command: str) -> dict[str, Any]:
    """A key, by the operator's command."""
    found: dict[str, Any] = json.loads(stack.stack.manage(*command, "--json"))
    return found


def test_a_key_does_what_its_scopes_allow(stack: RunningStack) -> None:
    api = stack.account()
    reader, writer = (
        {"X-Api-Key": made(stack, "create_key", str(api.account_id), "a", "--scope", scope)["api_key"]}
        for scope in ("contacts:read", "contacts:write")
    )
    sent = {"contacts": [contact()]}
    written = api.post("/contacts/bulk", json=sent, headers=writer)
    assert written.status_code in {200, 202}
    job = written.headers["Location"].removeprefix("/api/v2")
    assert api.get(job, headers=reader).status_code == 200

    def refused(answer: httpx.Response, scope: str) -> bool:
        body = answer.json()
        return (answer.status_code, body["code"], body["scope"]) == (403, "forbidden", scope)

    assert refused(api.post("/contacts/bulk", json=sent, headers=reader), "contacts:write")
    assert refused(api.post("/contacts/bulk?dry_run=true", json=sent, headers=reader), "contacts:write")
    assert refused(api.post(f"{job}/retry", headers=reader), "contacts:write")
    assert refused(api.get(job, headers=writer), "contacts:read")
    assert refused(api.get("/usage", headers=writer), "contacts:read")
    gone = {"phone_number": sent["contacts"][0]["phone_number"], "list_number": LIST}
    assert refused(api.delete("/contacts", params=gone, headers=reader), "contacts:write")
    assert api.delete("/contacts", params=gone, headers=writer).json()["unsubscribed"] is True


def test_a_successor_works_beside_the_key_until_that_ends(stack: RunningStack) -> None:
    api = stack.account()
    old = made(stack, "create_key", str(api.account_id), "a", "--expires", "2126-01-31T12:00Z")
    new = made(stack, "rotate_key", str(old["id"]))

    def status(key: dict[str, Any]) -> int:
        return api.get("/lists", headers={"X-Api-Key": key["api_key"]}).status_code

    assert (status(old), status(new), new["scopes"]) == (200, 200, old["scopes"])
    stack.rows("UPDATE accounts_apikey SET expires_at = now() WHERE id = %s", old["id"])
    assert (status(old), status(new)) == (401, 200)
