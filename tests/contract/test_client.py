"""A client that openapi-python-client generates from the description: it works for every operation."""

import csv
import importlib
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import pytest

from tests.conftest import RunningStack
from tests.contract.described import operations
from tests.contract.test_errors import busy
from tests.contract.test_jobs import poisoned
from tests.support import LIST, Api, eventually, new_number
from trackly.api.docs import INDEX

PACKAGE = "generated_client"


class Generated:
    """The package, with an account of the running stack to use it for."""

    def __init__(self, stack: RunningStack, api: Api) -> None:
        self.stack, self.api = stack, api
        client = importlib.import_module(f"{PACKAGE}.client")
        key = api.headers["X-Api-Key"]
        self.models = importlib.import_module(f"{PACKAGE}.models")
        self.client = client.AuthenticatedClient(
            base_url=stack.base,
            token=key,
            prefix="",
            auth_header_name="X-Api-Key",
            raise_on_unexpected_status=True,
        )

    def call(self, operation: str, status: int, /, *arguments: Any, **parameters: Any) -> Any:
        """What the generated function makes of the answer, which must have this status."""
        tag = operations()[operation].about["tags"][0].lower()
        module = importlib.import_module(f"{PACKAGE}.api.{tag}.{operation}")
        answer = module.sync_detailed(*arguments, client=self.client, **parameters)
        assert answer.status_code == HTTPStatus(status), answer.content
        return answer.parsed

    def contact(self, number: str, **fields: Any) -> Any:
        return self.models.Contact(phone_number=number, list_number=LIST, **fields)

    def batch(self, *contacts: Any) -> Any:
        return self.models.BulkRequest(contacts=list(contacts))

    def accepted(self, *contacts: Any) -> Any:
        return self.call("bulk_create_contacts", 202, body=self.batch(*contacts), prefer="respond-async")

    def ended(self, job_id: UUID) -> Any:
        status = self.models.JobStatus
        final = {status.COMPLETED, status.FAILED, status.CANCELLED}
        return eventually(lambda: self.call("get_job", 200, job_id), lambda job: job.status in final)

    def refused(self, code: str, operation: str, status: int, /, *arguments: Any, **parameters: Any) -> Any:
        """An error answer, as the model."""
        error = self.call(operation, status, *arguments, **parameters)
        assert isinstance(error, self.models.Error)
        assert error.code == code
        assert error.error
        return error


@pytest.fixture(scope="module")
def package(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Generate the package from the running stack's description, as users would, and import it."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yml").write_text("post_hooks: []\n")  # they would want ruff on the PATH
    command = [
        sys.executable,
        "-m",
        "openapi_python_client",
        "generate",
        "--meta",
        "none",
        "--fail-on-warning",
    ]
    command += ["--url", f"{stack.base}/api/v2/openapi.json", "--config", str(folder / "config.yml")]
    command += ["--output-path", str(folder / PACKAGE)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def generated(package: None, stack: RunningStack) -> Iterator[Generated]:
    made = Generated(stack, stack.account("--welcome-journey", "Welcome", "--billing", "active"))
    with made.client:
        yield made


def bulk_create_contacts(it: Generated) -> None:
    number = new_number()
    good = it.contact(number, use_journeys=True, signup_date=datetime(2026, 1, 2, tzinfo=UTC))
    good.custom_fields = it.models.CustomFields.from_dict({"first_name": "Jane", "age": 7, "vip": True})
    summary = it.call("bulk_create_contacts", 200, body=it.batch(good, it.contact("nope")))
    assert isinstance(summary, it.models.Summary)
    assert (summary.success_count, summary.error_count, summary.journeys_enrolled) == (1, 1, 1)
    [error] = summary.errors
    assert (error.index, error.phone_number, error.code) == (1, "nope", "invalid_phone")
    rehearsed = it.call("bulk_create_contacts", 200, body=it.batch(it.contact(number)), dry_run=True)
    assert rehearsed.dry_run is True
    assert isinstance(it.accepted(it.contact(new_number())), it.models.Accepted)
    it.refused("missing_contacts", "bulk_create_contacts", 400, body=it.batch())
    first = it.batch(it.contact(new_number()))
    it.call("bulk_create_contacts", 200, body=first, idempotency_key="k")
    it.refused(
        "idempotency_key_reused", "bulk_create_contacts", 422, body=it.batch(good), idempotency_key="k"
    )


def create_contact(it: Generated) -> None:
    body = it.contact(new_number(), use_validation=True)
    made = it.call("create_contact", 201, body=body)
    assert isinstance(made, it.models.SingleResult)
    assert made.success is made.is_new_contact is True
    assert made.validation.disposition == it.models.Disposition.OK
    assert it.call("create_contact", 200, body=body).contact_id == made.contact_id
    error = it.refused(
        "validation_failed", "create_contact", 422, body=it.contact("+12025550114", use_validation=True)
    )
    assert error.validation.disposition == it.models.Disposition.UNREACHABLE
    field = it.refused("invalid_field", "create_contact", 400, body=it.contact(new_number(), url="ftp://x"))
    assert field.field == "url"


def list_contacts(it: Generated) -> None:
    numbers = [new_number() for _ in range(3)]
    it.call("bulk_create_contacts", 200, body=it.batch(*map(it.contact, numbers)))
    page = it.call("list_contacts", 200, list_number=LIST, active=True, per_page=2)
    assert isinstance(page, it.models.ContactPage)
    assert (len(page.contacts), page.pagination.total) == (2, 3)
    entry = page.contacts[0]
    assert (entry.line_type, entry.signup_method) == (it.models.LineType.UNKNOWN, it.models.SignupMethod.API)
    assert isinstance(entry.signup_date, datetime)
    error = it.refused("invalid_parameter", "list_contacts", 400, per_page=1001)
    assert error.field == "per_page"


def get_contact(it: Generated) -> None:
    number = new_number()
    it.call("create_contact", 201, body=it.contact(number))
    found = it.call("get_contact", 200, number)
    assert isinstance(found, it.models.ContactProfile)
    assert (found.phone_number, found.validation) == (number, None)
    assert [member.list_number for member in found.memberships] == [LIST]
    it.refused("not_found", "get_contact", 404, new_number())


def unsubscribe(it: Generated) -> None:
    number = new_number()
    it.call("create_contact", 201, body=it.contact(number))
    done = it.call("unsubscribe", 200, phone_number=number, list_number=LIST)
    assert isinstance(done, it.models.Unsubscribed)
    assert done.success is done.unsubscribed is True
    it.refused("invalid_phone", "unsubscribe", 400, phone_number="nope", list_number=LIST)


def list_lists(it: Generated) -> None:
    page = it.call("list_lists", 200, status=it.models.LiveListStatus.ACTIVE)
    assert [made.phone_number for made in page.lists] == [LIST]
    assert isinstance(page.lists[0], it.models.SendingList)
    assert it.call("list_lists", 200, status=it.models.LiveListStatus.PAUSED).lists == []


def get_list(it: Generated) -> None:
    [made] = it.call("list_lists", 200).lists
    found = it.call("get_list", 200, made.id)
    assert (found, found.status) == (made, it.models.ListStatus.ACTIVE)
    it.refused("not_found", "get_list", 404, 10**17)


def create_list(it: Generated) -> None:
    number = new_number()
    body = it.models.NewList(phone_number=number, list_name="Summer", status=it.models.LiveListStatus.PAUSED)
    made = it.call("create_list", 201, body=body)
    assert isinstance(made, it.models.SendingList)
    assert (made.phone_number, made.list_name, made.status) == (
        number,
        "Summer",
        it.models.ListStatus.PAUSED,
    )
    error = it.refused("list_exists", "create_list", 409, body=body)
    assert error.list_id == made.id
    field = it.refused(
        "invalid_field", "create_list", 400, body=it.models.NewList(number, brand_name="x" * 1000)
    )
    assert field.field == "brand_name"


def change_list(it: Generated) -> None:
    [made] = it.call("list_lists", 200).lists
    changed = it.call("change_list", 200, made.id, body=it.models.ListChange(list_name="Autumn"))
    assert (changed.id, changed.list_name, changed.status) == (made.id, "Autumn", made.status)
    gone = it.models.ListChange(status=it.models.ListStatus.DELETED)
    deleted = it.call("change_list", 200, made.id, body=gone)
    assert deleted.status == it.models.ListStatus.DELETED
    it.refused("not_found", "change_list", 404, made.id, body=gone)


def export_list_contacts(it: Generated) -> None:
    number = new_number()
    it.call("create_contact", 201, body=it.contact(number))
    [made] = it.call("list_lists", 200).lists
    [row] = csv.DictReader(io.StringIO(it.call("export_list_contacts", 200, made.id)))
    assert (row["phone_number"], row["list_number"], row["active"]) == (number, LIST, "true")
    it.refused("not_found", "export_list_contacts", 404, 10**17)


def get_usage(it: Generated) -> None:
    it.call("create_contact", 201, body=it.contact(new_number(), use_validation=True))
    usage = it.call("get_usage", 200)
    assert isinstance(usage, it.models.Usage)
    assert (usage.validations, usage.cost) == (1, "0.003000")
    it.refused("invalid_parameter", "get_usage", 400, month="January")


def list_jobs(it: Generated) -> None:
    accepted = it.accepted(it.contact(new_number()))
    page = it.call("list_jobs", 200, page=1)
    assert [job.job_id for job in page.jobs] == [accepted.job_id]
    assert page.jobs[0].kind == "contacts.bulk"
    moment = page.jobs[0].created_at
    completed = it.models.JobStatus.COMPLETED
    it.ended(accepted.job_id)
    same = it.call(
        "list_jobs", 200, status=completed, kind=it.models.JobKind.CONTACTS_BULK, created_after=moment
    )
    assert [job.job_id for job in same.jobs] == [accepted.job_id]
    assert it.call("list_jobs", 200, created_before=moment).jobs == []
    it.refused("invalid_parameter", "list_jobs", 400, page=0)


def get_job(it: Generated) -> None:
    job = it.ended(it.accepted(it.contact(new_number()), it.contact("nope")).job_id)
    assert isinstance(job, it.models.Job)
    assert isinstance(job.summary, it.models.Summary)
    assert isinstance(job.completed_at, datetime)
    assert (job.status, job.progress, job.error_count) == (it.models.JobStatus.COMPLETED, 1.0, 1)
    it.refused("not_found", "get_job", 404, UUID(int=0))


def list_job_results(it: Generated) -> None:
    job = it.ended(it.accepted(it.contact(new_number()), it.contact("nope")).job_id)
    rows = it.call("list_job_results", 200, job.job_id).results
    outcome = it.models.Outcome
    assert [row.outcome for row in rows] == [outcome.CREATED, outcome.FAILED]
    assert (rows[1].contact_id, rows[1].error.code) == (None, "invalid_phone")
    wanted = {"outcome": outcome.FAILED, "code": it.models.ContactErrorCode.INVALID_PHONE}
    assert it.call("list_job_results", 200, job.job_id, **wanted).results == [rows[1]]
    it.refused("not_found", "list_job_results", 404, UUID(int=0))


def get_job_errors(it: Generated) -> None:
    job = it.ended(it.accepted(it.contact("nope")).job_id)
    [row] = csv.DictReader(io.StringIO(it.call("get_job_errors", 200, job.job_id)))
    assert (row["index"], row["code"], row["phone_number"]) == ("0", "invalid_phone", "nope")
    it.refused("not_found", "get_job_errors", 404, UUID(int=0))


def retry_job(it: Generated) -> None:
    number = new_number()
    with poisoned(it.stack, number):
        failed = it.ended(it.accepted(it.contact(number)).job_id)
        assert failed.status == it.models.JobStatus.FAILED
    assert isinstance(it.call("retry_job", 202, failed.job_id), it.models.Accepted)
    assert it.ended(failed.job_id).success_count == 1
    it.refused("not_retryable", "retry_job", 409, failed.job_id)


def cancel_job(it: Generated) -> None:
    with busy(it.stack, it.api):
        accepted = it.accepted(it.contact(new_number()))
        assert isinstance(it.call("cancel_job", 200, accepted.job_id), it.models.Job)
    job = it.ended(accepted.job_id)
    assert (job.status, job.summary.cancelled_count) == (it.models.JobStatus.CANCELLED, 1)
    it.refused("not_cancellable", "cancel_job", 409, accepted.job_id)


def get_index(it: Generated) -> None:
    index = it.call("get_index", 200)
    assert isinstance(index, it.models.Index)
    assert index.to_dict() == INDEX


USED: dict[str, Callable[[Generated], None]] = {
    use.__name__: use
    for use in (
        *(
            bulk_create_contacts,
            create_contact,
            list_contacts,
            get_contact,
            unsubscribe,
            list_lists,
            get_list,
        ),
        *(create_list, change_list, export_list_contacts),
        *(get_usage, list_jobs, get_job, list_job_results, get_job_errors, retry_job, cancel_job, get_index),
    )
}


def test_every_operation_is_used() -> None:
    assert operations().keys() == USED.keys()


@pytest.mark.parametrize("operation", USED)
def test_the_generated_client_works(generated: Generated, operation: str) -> None:
    USED[operation](generated)


def test_an_unknown_code_and_kind_break_no_client(generated: Generated) -> None:
    """Codes and kinds may be added: a client that was generated before must take them."""
    models = generated.models
    assert models.Error.from_dict({"error": "New.", "code": "brand_new", "hint": 1})["hint"] == 1
    entry = {"index": 0, "code": "brand_new", "error": "New."}
    assert models.ContactError.from_dict(entry).code == "brand_new"
    accepted = generated.accepted(generated.contact(new_number()))
    job = generated.call("get_job", 200, accepted.job_id).to_dict()
    assert models.Job.from_dict({**job, "kind": "brand.new"}).kind == "brand.new"


def test_an_answer_to_an_unknown_key_is_an_error_too(generated: Generated) -> None:
    generated.client.get_httpx_client().headers["X-Api-Key"] = "trk_" + "x" * 32
    generated.refused("unauthorized", "list_lists", 401)
