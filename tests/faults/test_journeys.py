"""Workers killed at random while a crowd of enrollments goes on."""

from collections.abc import Iterator

import pytest

from tests import crowd
from tests.conftest import Launch, RunningStack
from tests.faults.killer import Killer
from tests.support import eventually

CROWD, KILLS, SEED = 20_000, 16, 20261122


@pytest.fixture
def stack(launch: Launch) -> Iterator[RunningStack]:
    """A stack that is quick to claim anew what killed workers held."""
    quick = {"TRACKLY_ADVANCE_LEASE": "2", "TRACKLY_CONFIRM_AFTER": "3"}
    with launch("journey_faults", **quick, TRACKLY_QUIET_HOURS="") as running:
        yield running


def test_every_step_of_a_crowd_takes_effect_once_though_workers_die(stack: RunningStack) -> None:
    api = stack.account()
    [list_id] = [row[0] for row in stack.rows("SELECT id FROM contacts_sendinglist")]
    due = "status = 'active' AND due_at <= now()"
    work = f"SELECT max(claimed_at), count(*) FROM journeys_enrollment WHERE {due}"
    killer = Killer(stack, kills=KILLS, seed=SEED, work=work, queues=("journeys", "messages"))
    with stack.connect() as connection:
        killer.start()
        try:
            for part in range(4):
                crowd.gather(connection, list_id, CROWD // 4, first=part * CROWD)
                while killer.is_alive() and killer.kills < KILLS * (part + 1) // 4:
                    api.get("/lists")  # a round trip's pause
            killer.join(timeout=1_200)
        finally:
            killer.stop()
        assert killer.kills == KILLS
        eventually(lambda: crowd.differences(connection), lambda left: not left)
        assert stack.count("SELECT count(*) FROM journeys_enrollment WHERE status = 'failed'") == 0
    assert "claimed_again" in stack.log.read_text()  # somebody died with enrollments in his hands
    print(f"{killer.kills} kills (seed {SEED}), {CROWD:,} enrollments")  # noqa: T201 - shown with -s
