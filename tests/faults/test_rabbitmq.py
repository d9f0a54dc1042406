"""RabbitMQ in Redis' place as Celery's broker: the same promises, also when it dies, freezes or forgets."""

import signal
from collections.abc import Iterator

import httpx
import pytest
import redis

from tests.conftest import Launch, RunningStack
from tests.faults.killer import processes
from tests.rabbitmq import RabbitMQ, find_server
from tests.support import Api, contact, eventually, new_numbers

pytestmark = pytest.mark.skipif(find_server() is None, reason="rabbitmq-server is not on the PATH")
SIZE, BATCHES = 60, 8


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    folder = tmp_path_factory.mktemp("rabbitmq")
    with (folder / "output").open("w") as output:
        broker = RabbitMQ(folder / "node", output)
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()


@pytest.fixture(scope="module")
def stack(launch: Launch, rabbit: RabbitMQ) -> Iterator[RunningStack]:
    """Six slices a batch, so that each is a chord; quick to send again what nobody moves."""
    variables = {"TRACKLY_SLICE_SIZE": "10", "TRACKLY_SWEEP_AFTER": "2", "TRACKLY_SLICE_LEASE": "2"}
    token = {"TRACKLY_METRICS_TOKEN": "token"}
    with launch("rabbitmq", CELERY_BROKER_URL=rabbit.url, **variables, **token) as running:
        yield running


def send(api: Api, batches: int = BATCHES) -> list[httpx.Response]:
    """Accepted batches, not waited for."""
    sent = [api.bulk(*map(contact, new_numbers(SIZE)), prefer="respond-async") for _ in range(batches)]
    assert {answer.status_code for answer in sent} == {202}
    return sent


def all_take_effect(stack: RunningStack, api: Api, sent: list[httpx.Response]) -> None:
    jobs = [api.ended_job(answer) for answer in sent]
    assert {(job["status"], job["success_count"]) for job in jobs} == {("completed", SIZE)}
    members = (
        "SELECT count(*) FROM contacts_listcontact m JOIN contacts_sendinglist l ON l.id = sending_list_id"
    )
    assert stack.count(f"{members} WHERE l.account_id = %s", api.account_id) == SIZE * len(sent)


def queues(stack: RunningStack) -> dict[str, float]:
    """How many messages wait in each, by GET /metrics."""
    answer = httpx.get(f"{stack.base}/metrics", headers={"Authorization": "Bearer token"}, timeout=60)
    lines = [line for line in answer.text.splitlines() if line.startswith("trackly_queue_length{")]
    return {line.split('"')[1]: float(line.split()[1]) for line in lines}


def test_batches_complete_and_redis_bears_no_message(stack: RunningStack) -> None:
    api = stack.account()
    assert api.summary(*map(contact, new_numbers(SIZE)))["success_count"] == SIZE
    assert api.summary(contact())["success_count"] == 1  # a slice alone, without a chord
    other = stack.account()
    all_take_effect(stack, other, send(other))
    assert httpx.get(f"{stack.base}/readyz", timeout=60).status_code == 200
    with redis.Redis.from_url(stack.stack.environment["REDIS_URL"]) as client:
        assert not client.keys("_kombu*")
    assert queues(stack).keys() == {"settle", "ingest", "journeys", "messages", "live"}


@pytest.mark.parametrize("whole", [False, True])
def test_slices_of_a_killed_worker_are_processed(stack: RunningStack, *, whole: bool) -> None:
    """Killed in the middle of its slices: the pool's processes alone, or their mother first."""
    api = stack.account()
    slices = "FROM bulk_bulkslice s JOIN bulk_bulkjob j ON j.id = job_id WHERE account_id = %s"
    with stack.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE contacts_contact IN EXCLUSIVE MODE")  # they wait where they write
        sent = send(api, 1)
        claimed = f"SELECT count(*) {slices} AND claimed_at IS NOT NULL"
        eventually(lambda: stack.count(claimed, api.account_id))
        workers = [found for found in processes(stack.stack.home) if "settle,ingest" in found.cmdline()]
        children = [found for found in workers if found.ppid() in {worker.pid for worker in workers}]
        mothers = [found for found in workers if found not in children]
        for process in mothers + children if whole else children:  # orphans would end what they have
            process.kill()
    all_take_effect(stack, api, sent)
    assert stack.count(f"SELECT sum(attempts) {slices}", api.account_id) > 0


@pytest.mark.parametrize("forgets", [False, True])
def test_what_is_accepted_while_it_is_dead_completes(
    stack: RunningStack, rabbit: RabbitMQ, *, forgets: bool
) -> None:
    """Also where it comes back with nothing of what it had: the sweep sends it again."""
    api = stack.account()
    sent = send(api)
    rabbit.kill(forgets=forgets)
    try:
        sent += send(api)
        checks = httpx.get(f"{stack.base}/readyz", timeout=60).json()["checks"]
        assert (checks["broker"], checks["database"]) == (False, True)
        assert queues(stack) == {}
    finally:
        rabbit.start()
    all_take_effect(stack, api, sent)
    eventually(lambda: httpx.get(f"{stack.base}/readyz", timeout=60).status_code == 200)


def test_requests_are_accepted_while_it_is_frozen(stack: RunningStack, rabbit: RabbitMQ) -> None:
    api = stack.account()
    rabbit.signal(signal.SIGSTOP)
    try:
        sent = send(api)
    finally:
        rabbit.signal(signal.SIGCONT)
    all_take_effect(stack, api, sent)
