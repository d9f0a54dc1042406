"""The admin: every table has its page, machine-written ones are for looking, a key is shown once."""

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from accounts.keys import create_key, find_key
from accounts.models import ApiKey
from billing.models import CachedUse, ClosedMonth
from contacts.models import Contact, ListContact, ListTally
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from ingestion.jobs.process import process
from ingestion.models import BulkJob, BulkSlice
from tests.support import LIST, joins, new_account, new_journey

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


COPY_NOW = "Copy this key now; it won't be shown again: "


def shown_key(page: Any) -> str:
    """The key that the page shows, once."""
    [message] = [str(m) for m in page.context["messages"] if str(m).startswith(COPY_NOW)]
    return message.removeprefix(COPY_NOW)


def page_of(key: ApiKey, action: str = "change") -> str:
    return f"/admin/accounts/apikey/{key.pk}/{action}/"


def test_a_new_key_is_shown_once_and_works(operator: Client) -> None:
    account, _ = new_account()
    form = {
        "account": account.pk,
        "name": "shop",
        "scopes": ["contacts:write", "privacy"],
        "expires_at_0": "2126-01-31",
        "expires_at_1": "12:00",
    }
    shown = shown_key(operator.post("/admin/accounts/apikey/add/", form, follow=True))
    key = find_key(shown)
    assert key is not None
    assert (key.account, key.name, key.scopes) == (account, "shop", ["contacts:write", "privacy"])
    assert str(key.expires_at) == "2126-01-31 12:00:00+00:00"
    again = operator.get(page_of(key)).content.decode()
    assert shown not in again
    assert ">expires 2126-01-31 12:00 UTC<" in "".join(again.split("\n")).replace("  ", "")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scopes": []}, "This field is required."),
        ({"scopes": ["contacts:delete"]}, "is not one of the available choices"),
        ({"expires_at_0": "2020-01-31", "expires_at_1": "12:00"}, "This end date has passed."),
    ],
)
def test_a_key_that_could_do_nothing_is_not_made(operator: Client, wrong: dict[str, Any], said: str) -> None:
    account, _ = new_account()
    form = {"account": account.pk, "name": "shop", "scopes": ["privacy"], **wrong}
    page = operator.post("/admin/accounts/apikey/add/", form)
    assert said in page.content.decode()
    assert not ApiKey.objects.exists()


def test_the_list_of_keys_says_what_state_each_is_in(operator: Client) -> None:
    account, _ = new_account()
    now = timezone.now()
    for name, fields in {
        "first": {},
        "second": {"expires_at": now + timedelta(days=1)},
        "third": {"expires_at": now - timedelta(days=1)},
        "fourth": {"expires_at": now - timedelta(days=1), "revoked_at": now, "last_used_at": now},
    }.items():
        made, _ = create_key(account, name=name, scopes=["privacy"])
        ApiKey.objects.filter(pk=made.pk).update(**fields)
    page = operator.get("/admin/accounts/apikey/?o=1").content.decode()
    rows = {row.split("</a>")[0].rsplit(">", 1)[1].strip(): row for row in page.split("<tr")[2:]}
    states = [
        word for row in rows.values() for word in ("active", "expires 2", "expired", "revoked") if word in row
    ]
    assert states == ["active", "revoked", "expires 2", "expired"]  # first, fourth, second, third


def test_rotating_a_key_makes_a_successor_that_works_beside_it(operator: Client) -> None:
    account, _ = new_account()
    old, old_key = create_key(account, name="shop", scopes=["privacy"])
    form = operator.get(page_of(old, "rotate")).content.decode()
    assert 'value="24"' in form
    assert not old.successors.exists()
    new_key = shown_key(operator.post(page_of(old, "rotate"), {"overlap_hours": 2}, follow=True))
    found = find_key(new_key)
    assert found is not None
    assert (found.replaces, found.scopes, found.name) == (old, ["privacy"], "shop")
    old.refresh_from_db()
    assert old.expires_at is not None
    assert timedelta(hours=1.9) < old.expires_at - timezone.now() < timedelta(hours=2)
    assert find_key(old_key) == old
    again = operator.post(page_of(old, "rotate"), {"overlap_hours": 2}, follow=True)
    assert f"already has a successor: {found.hint}" in again.content.decode()
    assert ApiKey.objects.count() == 2
    assert f"{found.hint}… (shop)" in operator.get(page_of(old)).content.decode()


@pytest.mark.parametrize(
    "wrong",
    [{"overlap_hours": -1}, {"overlap_hours": 24, "expires_at": "2020-01-31T12:00"}, {"overlap_hours": ""}],
)
def test_a_rotation_that_can_not_be_meant_is_refused(operator: Client, wrong: dict[str, Any]) -> None:
    old, _ = create_key(new_account()[0], name="shop")
    assert operator.post(page_of(old, "rotate"), wrong).status_code == 200
    old.refresh_from_db()
    assert (old.expires_at, ApiKey.objects.count()) == (None, 1)


def test_revoking_a_key_asks_first(operator: Client) -> None:
    key, given = create_key(new_account()[0], name="shop")
    asked = operator.get(page_of(key, "revoke")).content.decode()
    assert "It was never used." in asked
    assert find_key(given) == key
    operator.post(page_of(key, "revoke"))
    assert find_key(given) is None
    key.refresh_from_db()
    first = key.revoked_at
    operator.post(page_of(key, "revoke"))
    key.refresh_from_db()
    assert key.revoked_at == first
    assert 'name="scopes"' not in operator.get(page_of(key)).content.decode()


def test_the_admin_is_for_who_logs_in(client: Client) -> None:
    assert client.get("/admin/bulk/bulkjob/").status_code == 302
    assert client.get("/").headers["Location"] == "/admin/"


def test_what_is_not_there_is_a_page_for_people_outside_the_api(operator: Client) -> None:
    response = operator.get("/admin/nope/")
    assert response.status_code == 404
    assert "html" in response.headers["Content-Type"]
