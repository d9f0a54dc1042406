"""Worker processes that took too much memory are replaced, and nothing that they were at is lost."""

import psutil

from tests.conftest import Launch, RunningStack
from tests.support import contact, eventually

BATCHES, SIZE = 40, 50


def _worker(stack: RunningStack) -> psutil.Process:
    return psutil.Process(stack.stack.supervisor._named("worker").process.pid)


def _children(stack: RunningStack) -> set[int]:
    return {child.pid for child in _worker(stack).children()}


def test_a_process_over_its_limit_is_replaced_and_nothing_is_lost(launch: Launch) -> None:
    """The limit is one that each process is over after its first task."""
    with launch("memory", CELERY_WORKER_MAX_MEMORY_PER_CHILD="1") as stack:
        api, worker = stack.account(), _worker(stack)
        first = eventually(lambda: _children(stack))
        answers = [
            api.bulk(*(contact() for _ in range(SIZE)), prefer="respond-async") for _ in range(BATCHES)
        ]
        jobs = [api.ended_job(answer) for answer in answers]
        assert {(job["status"], job["success_count"]) for job in jobs} == {("completed", SIZE)}
        eventually(lambda: not first & _children(stack) and _children(stack))
        assert _worker(stack) == worker
        assert stack.count("SELECT count(*) FROM contacts_listcontact") == BATCHES * SIZE
        assert stack.count("SELECT max(attempts) FROM bulk_bulkslice") == 0
        assert stack.count("SELECT count(*) FROM bulk_incident") == 0
