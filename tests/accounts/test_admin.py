"""The admin: every table has its page, machine-written ones are for looking, a key is shown once."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client

from billing.models import CachedUse, ClosedMonth
from contacts.bulk.accept import accept, read_batch
from contacts.bulk.models import BulkJob, BulkSlice
from contacts.bulk.process import process
from contacts.models import Contact, ListContact, ListTally
from tests.support import LIST, joins, new_account, new_journey
from trackly.accounts.keys import find_key
from trackly.accounts.models import ApiKey

pytestmark = pytest.mark.django_db
OURS = [
    m
    for label in ("accounts", "contacts", "bulk", "journeys", "billing", "lookups")
    for m in apps.get_app_config(label).get_models()
]
PAGES = [model for model in OURS if model in admin.site._registry]


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


def test_every_table_is_on_a_page() -> None:
    inline = {inline.model for page in admin.site._registry.values() for inline in page.inlines}
    assert set(OURS) - set(PAGES) - inline == {ListTally, CachedUse, ClosedMonth}  # sums and marks


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model.__name__)
def test_every_list_opens_and_can_be_searched(operator: Client, model: type[Model]) -> None:
    account, sending_list = new_account()
    new_journey(account, joins(sending_list))
    body = f'[{{"phone_number": "+14155559876", "list_number": "{LIST}", "use_journeys": true}}]'
    _, [slice_id] = accept(account, read_batch({"contacts": body.encode()}))
    process(slice_id)
    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for query in ("", "?q=%2B1415", "?q=x"):
        assert operator.get(url + query).status_code == 200
    found = model._default_manager.first()
    if found is not None:
        assert operator.get(f"{url}{found.pk}/change/").status_code == 200


@pytest.mark.parametrize(
    "model", [Contact, ListContact, BulkJob, BulkSlice], ids=lambda model: model.__name__
)
def test_what_the_machine_writes_is_for_looking(operator: Client, model: type[Model]) -> None:
    assert operator.get(f"/admin/{model._meta.app_label}/{model._meta.model_name}/add/").status_code == 403


def test_a_new_key_is_shown_once_and_works(operator: Client) -> None:
    account, _ = new_account()
    page = operator.post("/admin/accounts/apikey/add/", {"account": account.pk, "name": "shop"}, follow=True)
    [message] = [str(m) for m in page.context["messages"] if "never shown again" in str(m)]
    key = find_key(message.rsplit(" ", 1)[1])
    assert key is not None
    assert (key.account, key.name) == (account, "shop")
    again = operator.get(f"/admin/accounts/apikey/{key.pk}/change/")
    assert message.rsplit(" ", 1)[1] not in again.content.decode()


def test_revoking_a_key_is_an_action(operator: Client) -> None:
    account, _ = new_account()
    key = ApiKey.objects.create(account=account, name="a", digest=b"0" * 32, hint="trk_0000")
    operator.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_the_admin_is_for_who_logs_in(client: Client) -> None:
    assert client.get("/admin/bulk/bulkjob/").status_code == 302
    assert client.get("/").headers["Location"] == "/admin/"


def test_what_is_not_there_is_a_page_for_people_outside_the_api(operator: Client) -> None:
    response = operator.get("/admin/nope/")
    assert response.status_code == 404
    assert "html" in response.headers["Content-Type"]
