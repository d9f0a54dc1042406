"""Redis loses everything in the middle of a hundred batches."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.conftest import Launch, RunningStack
from tests.support import contact, new_numbers

BATCHES, SIZE = 100, 50


@pytest.fixture
def stack(launch: Launch) -> Iterator[RunningStack]:
    """With slices enough that some are on their way, and a sweep that is quick to look for them."""
    with launch("flushed", TRACKLY_SLICE_SIZE="10", TRACKLY_SWEEP_AFTER="3") as running:
        yield running


def test_a_hundred_batches_survive_an_empty_broker(stack: RunningStack) -> None:
    api = stack.account()
    broker = redis.Redis.from_url(stack.stack.environment["REDIS_URL"])
    numbers = new_numbers(BATCHES * SIZE)
    with ThreadPoolExecutor(8) as pool:
        sent = [
            pool.submit(
                api.bulk,
                *(contact(number) for number in numbers[SIZE * n : SIZE * (n + 1)]),
                prefer="respond-async",
            )
            for n in range(BATCHES)
        ]
        for answer in sent[: BATCHES // 2]:
            answer.result()
        broker.flushdb()
        accepted = [answer.result() for answer in sent]
    broker.flushdb()
    flushed = time.monotonic()
    assert {answer.status_code for answer in accepted} == {202}
    jobs = [api.ended_job(answer) for answer in accepted]
    seconds = time.monotonic() - flushed
    assert {(job["status"], job["success_count"]) for job in jobs} == {("completed", SIZE)}
    assert stack.count("SELECT count(*) FROM contacts_listcontact") == BATCHES * SIZE
    mended = dict(stack.rows("SELECT kind, count(*) FROM bulk_incident GROUP BY kind"))
    assert mended.get("sent_again", 0) > 0
    print(f"all ended {seconds:.1f} s after the second flush; mended: {mended}")  # noqa: T201 - shown with -s
