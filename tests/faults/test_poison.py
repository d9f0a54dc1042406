"""A contact that kills every worker that reads it, among a hundred."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Launch, RunningStack
from tests.support import contact, new_numbers


@pytest.fixture
def poison(tmp_path: Path) -> Path:
    return tmp_path / "poison"


@pytest.fixture
def stack(launch: Launch, poison: Path) -> Iterator[RunningStack]:
    with launch("poisoned_st", DJANGO_SETTINGS_MODULE="tests.faults.poisoned", POISON=str(poison)) as running:
        yield running


def test_one_deadly_contact_fails_and_the_others_take_effect(stack: RunningStack, poison: Path) -> None:
    api = stack.account()
    numbers = new_numbers(100)
    poison.write_text(numbers[41])
    batch = [contact(number, custom_fields={"n": index}) for index, number in enumerate(numbers)]
    accepted = api.bulk(*batch, prefer="respond-async")
    other = api.bulk(contact(), contact(), prefer="respond-async")  # beside it everything goes on
    assert api.ended_job(other)["status"] == "completed"
    job = api.ended_job(accepted)
    assert (job["status"], job["success_count"], job["error_count"]) == ("failed", 99, 1)
    [error] = job["summary"]["errors"]
    assert (error["index"], error["phone_number"], error["code"]) == (41, numbers[41], "internal_error")
    assert job["summary"]["list_contacts_created"] == 99
    members = stack.count("SELECT count(*) FROM contacts_listcontact WHERE custom_fields ? 'n'")
    assert members == 99
    kinds = dict(stack.rows("SELECT kind, count(*) FROM bulk_incident GROUP BY kind"))
    assert kinds["given_up"] == 1
    assert kinds["halved"] in (6, 7)
    poison.unlink()
    retried = api.post(f"/jobs/{job['job_id']}/retry")
    assert retried.status_code == 202
    again = api.ended_job(retried)
    assert (again["status"], again["success_count"], again["error_count"]) == ("completed", 100, 0)
    print(f"{kinds}, deaths: {stack.log.read_text().count('signal 9 (SIGKILL)')}")  # noqa: T201 - shown with -s
