"""Accounts are suspended and closed, and deleted only while nothing belongs to them."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.keys import create_key
from accounts.models import Account, ApiKey
from ingestion.models import BulkJob
from tests.support import new_account, statements

pytestmark = pytest.mark.django_db


def page(account: Account, name: str) -> str:
    return f"/admin/accounts/account/{account.pk}/{name}/"


def status(client: Client, key: str) -> int:
    return client.get("/api/v2/lists", headers={"X-Api-Key": key}).status_code


def last_said() -> str:
    return LogEntry.objects.latest("pk").get_change_message()


def test_suspending_and_resuming_ask_first_and_want_a_reason(admin_client: Client) -> None:
    account, _ = new_account()
    _, key = create_key(account, name="shop")
    for action, before, after in (("suspend", 200, 403), ("resume", 403, 200)):
        admin_client.get(page(account, action))
        empty = admin_client.post(page(account, action), {"confirmed": "yes", "reason": ""})
        assert "Enter a reason." in empty.content.decode()
        assert status(admin_client, key) == before
        admin_client.post(page(account, action), {"confirmed": "yes", "reason": "chargebacks"})
        assert status(admin_client, key) == after
        assert last_said().endswith("ed: chargebacks")


def test_the_time_of_a_suspension_is_no_field(admin_client: Client) -> None:
    account, _ = new_account()
    given = {"name": "New", "rejects_voip": "on", "suspended_at_0": "2030-01-01", "suspended_at_1": "00:00"}
    admin_client.post(page(account, "change"), {**given, "suspended_at": "2030-01-01 00:00"})
    account.refresh_from_db()
    assert (account.name, account.suspended_at) == ("New", None)


def test_an_account_is_offered_what_there_is_to_do(admin_client: Client) -> None:
    account, _ = new_account()
    for suspended_at, offered, other in (
        (None, "suspend", "resume"),
        ("2026-01-01T00:00Z", "resume", "suspend"),
    ):
        Account.objects.filter(pk=account.pk).update(suspended_at=suspended_at)
        shown = admin_client.get(page(account, "change")).content.decode()
        assert page(account, offered) in shown
        assert page(account, other) not in shown
        assert page(account, "close") in shown


def test_closing_suspends_and_revokes_the_keys_and_keeps_everything(admin_client: Client) -> None:
    account, sending_list = new_account()
    keys = [create_key(account, name=name)[1] for name in ("shop", "till")]
    _, foreign = create_key(new_account()[0], name="theirs")
    asked = admin_client.get(page(account, "close")).content.decode()
    assert "2 to be revoked" in asked
    assert "sending lists" in asked
    assert status(admin_client, keys[0]) == 200
    admin_client.post(page(account, "close"), {"confirmed": "yes", "reason": "left"})
    account.refresh_from_db()
    assert account.suspended_at is not None
    assert [status(admin_client, key) for key in (*keys, foreign)] == [401, 401, 200]
    assert last_said() == "Closed: left (2 API keys revoked)"
    sending_list.refresh_from_db()


def test_an_account_that_something_belongs_to_says_so_at_once(admin_client: Client) -> None:
    account, _ = new_account()
    BulkJob.objects.bulk_create(BulkJob(account=account, total=1) for _ in range(100))
    with statements() as sent:
        shown = admin_client.post(page(account, "delete"), {"post": "yes"})
    assert shown.headers["Location"] == page(account, "change")
    assert not [one for one in sent if "bulk_bulkjob" in one and "EXISTS" not in one]
    said = admin_client.get(page(account, "change")).content.decode()
    assert "bulk jobs" in said
    assert "belong to it. Close it instead." in said
    assert Account.objects.filter(pk=account.pk).exists()


def test_an_empty_account_is_deleted_with_its_keys(admin_client: Client) -> None:
    account = Account.objects.create(name="Nothing")
    create_key(account, name="unused")
    assert "Are you sure" in admin_client.get(page(account, "delete")).content.decode()
    admin_client.post(page(account, "delete"), {"post": "yes"})
    assert not Account.objects.filter(pk=account.pk).exists()
    assert not ApiKey.objects.filter(account=account.pk).exists()
    connection.check_constraints()


def test_the_database_refuses_what_code_would_delete() -> None:
    account, _ = new_account()
    with transaction.atomic():
        account.delete()
        with pytest.raises(IntegrityError):
            connection.check_constraints()
        transaction.set_rollback(True)


def test_no_list_deletes_many_at_once(admin_client: Client) -> None:
    from django.contrib import admin  # noqa: PLC0415

    account = Account.objects.create(name="Nothing")
    for model in admin.site._registry:
        url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        shown = admin_client.get(url).content.decode()
        assert "delete_selected" not in shown, url
    chosen = {"action": "delete_selected", "_selected_action": [account.pk], "post": "yes"}
    admin_client.post("/admin/accounts/account/", chosen)
    assert Account.objects.filter(pk=account.pk).exists()


def test_a_user_with_a_history_is_deactivated_instead(admin_client: Client, django_user_model: Any) -> None:
    user = django_user_model.objects.get(username="admin")
    account, _ = new_account()
    admin_client.post(page(account, "suspend"), {"confirmed": "yes", "reason": "a test"})
    url = f"/admin/auth/user/{user.pk}/delete/"
    said = admin_client.post(url, {"post": "yes"}, follow=True).content.decode()
    assert "Clear “Active” instead" in said
    fresh = django_user_model.objects.create_user("fresh")
    admin_client.post(f"/admin/auth/user/{fresh.pk}/delete/", {"post": "yes"})
    assert list(django_user_model.objects.all()) == [user]
