"""Batches that run at the same time, on the same contacts."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.conftest import RunningStack
from tests.support import contact, new_number, new_numbers


@pytest.mark.parametrize(("shape", "size"), [("stack", 1000), ("literal_stack", 10)])
def test_two_jobs_with_the_same_contacts_in_opposite_order_both_complete(
    request: pytest.FixtureRequest, shape: str, size: int
) -> None:
    stack: RunningStack = request.getfixturevalue(shape)
    apis = [stack.account("--welcome-journey", "Welcome") for _ in range(2)]
    for _ in range(10):
        numbers = new_numbers(size)
        batches = [[contact(n, use_journeys=True) for n in order] for order in (numbers, numbers[::-1])]
        with ThreadPoolExecutor() as pool:
            first, second = pool.map(lambda api, batch: api.summary(*batch), apis, batches)
        for summary in (first, second):
            assert (summary["success_count"], summary["errors"]) == (size, [])
            assert (summary["list_contacts_created"], summary["journeys_enrolled"]) == (size, size)
        assert first["contacts_created"] + second["contacts_created"] == size


def test_many_batches_of_one_account_create_each_contact_once(any_stack: RunningStack) -> None:
    api = any_stack.account("--welcome-journey", "Welcome")
    numbers = new_numbers(20)
    batch = [contact(n, use_journeys=True, skip_journey_if_exists=False) for n in numbers]
    with ThreadPoolExecutor(8) as pool:
        summaries = list(pool.map(lambda _: api.summary(*batch), range(8)))
    for count in ("contacts_created", "list_contacts_created", "journeys_enrolled"):
        assert sum(summary[count] for summary in summaries) == 20
    assert all(summary["success_count"] == 20 for summary in summaries)


def test_sending_slices_leaves_no_subscription_behind(literal_stack: RunningStack) -> None:
    """Celery's own backend keeps one for every task that was ever sent."""
    literal_stack.account().summary(*(contact(n) for n in new_numbers(50)))
    with redis.Redis.from_url(literal_stack.stack.environment["REDIS_URL"]) as client:
        assert client.pubsub_channels("celery-task-meta-*") == []


def test_a_number_validated_by_many_batches_at_once_is_charged_once(any_stack: RunningStack) -> None:
    api = any_stack.account("--billing", "active")
    number = new_number()
    with ThreadPoolExecutor(6) as pool:
        summaries = list(pool.map(lambda _: api.summary(contact(number, use_validation=True)), range(6)))
    assert all(summary["success_count"] == 1 for summary in summaries)
    charges = "SELECT count(*), sum(micro_dollars)::int FROM billing_ledgerentry WHERE account_id = %s"
    assert any_stack.rows(charges, api.account_id) == [(1, 3000)]
