"""The workers' connections to PostgreSQL, in a running stack."""

from tests.conftest import RunningStack
from tests.support import contact

_SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"


def test_a_worker_keeps_its_connection_from_task_to_task(stack: RunningStack) -> None:
    """Celery would close the pool around each task; to connect costs as much as a hundred contacts."""
    api, tasks = stack.account(), 30
    assert api.summary(contact())["success_count"] == 1
    before = stack.count(_SESSIONS)
    for _ in range(tasks):
        assert api.summary(contact())["success_count"] == 1
    assert stack.count(_SESSIONS) - before < tasks / 2


def test_a_connection_that_broke_meanwhile_is_replaced(stack: RunningStack) -> None:
    api = stack.account()
    assert api.summary(contact())["success_count"] == 1
    with stack.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert api.summary(contact())["success_count"] == 1
