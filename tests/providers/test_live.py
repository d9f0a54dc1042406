"""Every new number is looked up at a provider's, over HTTP, by real workers: what goes wrong there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import RunningStack
from tests.support import Api, contact, eventually, new_numbers

LISTS = ("--list", "+18005551234", "--list", "+18005555678")
MOST_CALLS = 3 + 5
"""TRACKLY_LOOKUP_TRIES that fail, and five that are told to wait."""


class Provider:
    """The stack's stub, which stands in for the providers."""

    def __init__(self, stack: RunningStack) -> None:
        self._client = httpx.Client(base_url=stack.stack.environment["TRACKLY_SANDBOX_URL"], trust_env=False)

    def set(self, **faults: Any) -> None:
        assert self._client.put("/control", json=faults).status_code == 200

    def outcomes(self, service: str, numbers: list[str]) -> dict[str, dict[str, int]]:
        """What became of each question, by number."""
        log = self._client.get("/control").json()
        return {number: log.get(f"{service} {number}", {}) for number in numbers}

    def close(self) -> None:
        self.set()
        self._client.close()


@pytest.fixture
def provider(live_stack: RunningStack) -> Iterator[Provider]:
    made = Provider(live_stack)
    made.set()
    yield made
    made.close()


def verified(stack: RunningStack, numbers: list[str]) -> set[str]:
    found = stack.rows(
        "SELECT phone_number FROM contacts_contact WHERE phone_number = ANY(%s) AND verified_at IS NOT NULL",
        numbers,
    )
    return {number for (number,) in found}


def closed(api: Api, provider: Provider) -> None:
    """Come back when the circuits are closed again: whatever a test did to the providers is over."""
    provider.set()
    for _ in range(1_000):
        [number] = new_numbers(1)
        api.summary(contact(number, use_validation=True))
        if all(provider.outcomes(service, [number])[number] for service in ("twilio", "telnyx")):
            return
    raise AssertionError("a circuit stays open")


def test_a_thousand_new_numbers_are_each_looked_up_once(live_stack: RunningStack, provider: Provider) -> None:
    api, numbers = live_stack.account(), new_numbers(1_000)
    provider.set(delay=0.2)
    summary = api.summary(*(contact(number) for number in numbers))
    assert (summary["success_count"], summary["contacts_created"]) == (1_000, 1_000)
    assert set(map(str, provider.outcomes("twilio", numbers).values())) == {"{'ok': 1}"}
    assert verified(live_stack, numbers) == set(numbers)
    entry = api.get(f"/contacts/{numbers[0]}").json()
    assert (entry["line_type"], entry["carrier"]) == ("CELL PHONE", "Sandbox Wireless")
    assert entry["timezone"] == "America/Los_Angeles"


def test_with_a_fault_in_every_fifth_call_every_contact_ends_right(
    live_stack: RunningStack, provider: Provider
) -> None:
    api = live_stack.account("--billing", "active")
    numbers = new_numbers(200)
    share = 0.2 / 6
    kinds = ("429", "500", "timeout", "reset", "half", "nonsense")
    provider.set(shares=dict.fromkeys(kinds, share), seed=7, retry_after=1)
    response = api.bulk(*(contact(number, use_validation=True) for number in numbers), prefer="respond-async")
    job = api.ended_job(response)
    assert job["status"] == "completed"
    looked_up, validated = (provider.outcomes(name, numbers) for name in ("twilio", "telnyx"))
    assert sum(count.get(kind, 0) for count in looked_up.values() for kind in kinds) > 20
    for outcomes in (looked_up, validated):
        assert max(sum(count.values()) for count in outcomes.values()) <= MOST_CALLS
        assert max(count.get("ok", 0) for count in outcomes.values()) == 1
    answered = {number for number in numbers if "ok" in validated[number]}
    failed = {entry["phone_number"]: entry["code"] for entry in job["summary"]["errors"]}
    assert failed == dict.fromkeys(set(numbers) - answered, "provider_error")
    charged = live_stack.rows(
        "SELECT v.phone_number FROM billing_ledgerentry c JOIN billing_validation v ON v.id = c.validation_id"
        " WHERE c.account_id = %s",
        api.account_id,
    )
    assert sorted(number for (number,) in charged) == sorted(answered)
    known = {number for number in numbers if "ok" in looked_up[number]}
    assert verified(live_stack, sorted(answered)) == known & answered
    closed(api, provider)


def test_a_dead_provider_rejects_nobody_and_they_are_verified_when_it_is_back(
    live_stack: RunningStack, provider: Provider
) -> None:
    api, numbers = live_stack.account(), new_numbers(1_000)
    provider.set(dead=True)
    summary = api.summary(*(contact(number) for number in numbers))
    assert (summary["success_count"], summary["contacts_created"]) == (1_000, 1_000)
    assert not verified(live_stack, numbers)
    asked = sum(sum(count.values()) for count in provider.outcomes("twilio", numbers).values())
    assert asked < 500, "the circuit opened after a few"
    provider.set()
    eventually(lambda: verified(live_stack, numbers), lambda found: found == set(numbers))
    assert api.get(f"/contacts/{numbers[0]}").json()["line_type"] == "CELL PHONE"


def test_paid_validation_that_nobody_answers_is_a_provider_error_and_costs_nothing(
    live_stack: RunningStack, provider: Provider
) -> None:
    api, numbers = live_stack.account("--billing", "active"), new_numbers(30)
    api.summary(*(contact(number) for number in numbers))
    provider.set(dead=True)
    summary = api.summary(*(contact(number, use_validation=True) for number in numbers))
    assert [entry["code"] for entry in summary["errors"]] == ["provider_error"] * 30
    charges = live_stack.count(
        "SELECT count(*) FROM billing_ledgerentry WHERE account_id = %s", api.account_id
    )
    assert charges == 0
    closed(api, provider)


@pytest.mark.parametrize("fault", ["404", "403", "nonsense"])
def test_what_a_provider_does_not_document_is_never_charged_and_never_verified(
    live_stack: RunningStack, provider: Provider, fault: str
) -> None:
    """As a wrong URL, a firewall or a captive portal answers: first for carriers, then for validation."""
    api, numbers = live_stack.account("--billing", "active"), new_numbers(20)
    provider.set(shares={fault: 1.0})
    summary = api.summary(*(contact(number) for number in numbers))
    assert (summary["success_count"], summary["contacts_created"]) == (20, 20)
    assert not verified(live_stack, numbers)
    new = new_numbers(20)
    summary = api.summary(*(contact(number, use_validation=True) for number in [*numbers, *new]))
    assert [entry["code"] for entry in summary["errors"]] == ["provider_error"] * 40
    assert not verified(live_stack, [*numbers, *new])
    bought = "SELECT count(*) FROM billing_ledgerentry WHERE account_id = %s"
    assert live_stack.count(bought, api.account_id) == 0
    kept = "SELECT count(*) FROM lookups_lookup WHERE phone_number = ANY(%s) AND answer IS NOT NULL"
    assert live_stack.count(kept, [*numbers, *new]) == 0
    reasons = live_stack.rows(
        "SELECT DISTINCT kind, error FROM lookups_lookup WHERE phone_number = ANY(%s)", [*numbers, *new]
    )
    for kind, address in (("carrier", "TWILIO_LOOKUPS_URL"), ("validation", "TELNYX_URL")):
        assert any(address in error for found, error in reasons if found == kind), reasons
    assert all(error for _, error in reasons)
    closed(api, provider)
    again = [contact(number, use_validation=True) for number in numbers]
    eventually(lambda: api.summary(*again)["error_count"], lambda failed: failed == 0)
    paid = live_stack.rows(
        "SELECT v.phone_number FROM billing_ledgerentry c JOIN billing_validation v ON v.id = c.validation_id"
        " WHERE c.account_id = %s AND v.phone_number = ANY(%s)",
        api.account_id,
        numbers,
    )
    assert sorted(number for (number,) in paid) == numbers


def test_a_number_in_ten_batches_at_once_is_looked_up_once_and_paid_for_once(
    live_stack: RunningStack, provider: Provider
) -> None:
    api, numbers = live_stack.account("--billing", "active"), new_numbers(5)
    provider.set(delay=0.3)
    batch = [contact(number, use_validation=True) for number in numbers]
    with ThreadPoolExecutor(10) as pool:
        summaries = list(pool.map(lambda _: api.summary(*batch), range(10)))
    assert [summary["success_count"] for summary in summaries] == [5] * 10
    assert sum(summary["contacts_created"] for summary in summaries) == 5
    for service in ("twilio", "telnyx"):
        assert list(provider.outcomes(service, numbers).values()) == [{"ok": 1}] * 5
    charged = "SELECT count(*), sum(micro_dollars) FROM billing_ledgerentry WHERE account_id = %s"
    assert live_stack.rows(charged, api.account_id) == [(5, 15_000)]


def test_who_needs_no_look_up_does_not_wait_for_those_who_do(
    live_stack: RunningStack, provider: Provider
) -> None:
    api = live_stack.account(*LISTS)
    known, new = new_numbers(200), new_numbers(200)
    api.summary(*(contact(number) for number in known))
    provider.set(delay=4)  # time to look at what is there before
    mixed = [
        contact(number, list_number="+18005555678")
        for pair in zip(known, new, strict=True)
        for number in pair
    ]
    response = api.bulk(*mixed, prefer="respond-async")
    job = eventually(lambda: api.job(response), lambda job: job["processed"] > 0)
    assert (job["status"], job["processed"], job["progress"]) == ("processing", 200, 0.5)
    members = api.get("/contacts", params={"list_number": "+18005555678", "per_page": 1_000}).json()[
        "contacts"
    ]
    assert {member["phone_number"] for member in members} == set(known)
    ended = api.ended_job(response)
    assert (ended["success_count"], ended["summary"]["contacts_created"]) == (400, 200)


def test_a_number_that_was_rejected_is_remembered_though_it_is_no_contact(
    live_stack: RunningStack, provider: Provider
) -> None:
    for _ in range(2):
        summary = live_stack.account().summary(contact("+12025550102"))
        assert [entry["code"] for entry in summary["errors"]] == ["not_sendable"]
    assert provider.outcomes("twilio", ["+12025550102"]) == {"+12025550102": {"ok": 1}}
    assert live_stack.count("SELECT count(*) FROM contacts_contact WHERE phone_number = '+12025550102'") == 0


def test_no_log_holds_a_secret(live_stack: RunningStack, provider: Provider) -> None:
    logged = live_stack.log.read_text()
    assert "circuit_opened" in logged
    assert "a secret" not in logged
