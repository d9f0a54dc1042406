"""What a dry run may cost others, and what its time may tell."""

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from core.http.errors import ApiError
from ingestion.batch import read_batch
from ingestion.intake import dry_run
from ingestion.models import BulkJob
from tests.support import contact, new_account


class Clock:
    """Time that passes where something sleeps or works."""

    def __init__(self, working: float) -> None:
        self.at, self.working, self.slept = 100.0, working, 0.0

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.at += seconds

    def work(self) -> None:
        self.at += self.working


@pytest.mark.parametrize(
    ("working", "answered_after"),
    [(0.001, 0.1), (0.0999, 0.1), (0.101, 0.2), (0.95, 1.0), (1.0, 1.0)],
)
def test_an_answer_takes_whole_steps(
    monkeypatch: pytest.MonkeyPatch, working: float, answered_after: float
) -> None:
    clock = Clock(working)
    monkeypatch.setattr(dry_run, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep))
    with dry_run._in_steps():
        clock.work()
    assert clock.at - 100.0 == pytest.approx(answered_after, abs=1e-6)


def refused(take: Callable[[], object]) -> ApiError:
    with pytest.raises(ApiError) as raised:
        take()
    return raised.value


def test_an_account_has_one_at_a_time_and_a_process_few() -> None:
    with dry_run._alone(1):
        again = refused(lambda: dry_run._alone(1).__enter__())
        assert (again.status, again.code, again.headers) == (503, "unavailable", {"Retry-After": "1"})
        with dry_run._alone(2):
            assert refused(lambda: dry_run._alone(3).__enter__()).status == 503
        with pytest.raises(ValueError, match="in the middle"), dry_run._alone(3):
            raise ValueError("in the middle")
    for _ in range(3):
        with dry_run._alone(3):
            pass


@pytest.mark.django_db
def test_one_that_is_refused_for_another_has_looked_at_nothing() -> None:
    account, _ = new_account()
    batch = read_batch({"contacts": json.dumps([contact()]).encode()})
    with dry_run._alone(account.pk):
        assert refused(lambda: dry_run.dry_run(account, batch)).status == 503
    assert dry_run.dry_run(account, batch)["contacts_created"] == 1
    assert not BulkJob.objects.exists()
