"""Workers killed at random while many batches ask for the same paid validations."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Launch, RunningStack
from tests.faults.killer import Killer
from tests.support import contact, new_numbers

ACCOUNTS, BATCHES, NUMBERS, KILLS, SEED = 4, 50, 50, 40, 20261122


@pytest.fixture
def stack(launch: Launch) -> Iterator[RunningStack]:
    """A stack whose sweep is quick to find what killed workers left, and never gives up."""
    with launch(
        "faults", TRACKLY_SLICE_LEASE="3", TRACKLY_SWEEP_AFTER="3", TRACKLY_SLICE_ATTEMPTS="1000"
    ) as running:
        yield running


def test_two_hundred_batches_with_the_same_numbers_and_dying_workers_charge_each_number_once(
    stack: RunningStack,
) -> None:
    accounts = [stack.account("--billing", "active") for _ in range(ACCOUNTS)]
    numbers = new_numbers(NUMBERS)
    batch = [contact(number, use_validation=True) for number in numbers]
    work = "SELECT max(claimed_at), count(*) FILTER (WHERE status = 'pending') FROM bulk_bulkslice"
    killer = Killer(stack, kills=KILLS, seed=SEED, work=work, queues=("ingest", "live"))
    killer.start()
    try:
        with ThreadPoolExecutor(16) as pool:
            sent = [
                (api, pool.submit(api.bulk, *batch, prefer="respond-async"))
                for _ in range(BATCHES)
                for api in accounts
            ]
            accepted = [(api, response.result()) for api, response in sent]
        assert {response.status_code for _, response in accepted} == {202}
        killer.join(timeout=1_200)
    finally:
        killer.stop()
    jobs = [api.ended_job(response) for api, response in accepted]
    assert killer.kills == KILLS
    assert {(job["status"], job["success_count"]) for job in jobs} == {("completed", NUMBERS)}
    for api in accounts:
        charged = stack.rows(
            "SELECT v.phone_number, l.micro_dollars FROM billing_ledgerentry l"
            " JOIN billing_validation v ON v.id = l.validation_id WHERE l.account_id = %s",
            api.account_id,
        )
        assert sorted(charged) == sorted((number, 3_000) for number in numbers)
        assert (
            stack.count("SELECT count(*) FROM billing_validation WHERE account_id = %s", api.account_id)
            == NUMBERS
        )
        usage = api.get("/usage").json()
        assert (usage["validations"], usage["cost"]) == (NUMBERS, "0.150000")
        assert usage["cached"] == NUMBERS * BATCHES - NUMBERS
    interrupted = stack.count("SELECT count(*) FROM bulk_bulkslice WHERE attempts > 0")
    assert interrupted > 0
    print(f"{killer.kills} kills (seed {SEED}), {len(jobs)} jobs, {interrupted} slices interrupted")  # noqa: T201 - shown with -s
