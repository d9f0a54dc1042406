"""A list in the admin: deleted by its status, at once; restored; told from others by words."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.keys import create_key
from contacts.models import Contact, ListContact, SendingList
from tests.support import LIST, joins, new_account, new_journey, new_numbers, statements

pytestmark = pytest.mark.django_db


def page(sending_list: SendingList, name: str) -> str:
    return f"/admin/contacts/sendinglist/{sending_list.pk}/{name}/"


def join(sending_list: SendingList, count: int, **fields: object) -> None:
    made = Contact.objects.bulk_create(Contact(phone_number=number) for number in new_numbers(count))
    ListContact.objects.bulk_create(
        ListContact(sending_list=sending_list, contact=one, signup_date=timezone.now(), **fields)
        for one in made
    )


def error_of(client: Client, key: str) -> str:
    body = json.dumps({"contacts": [{"phone_number": new_numbers(1)[0], "list_number": LIST}]})
    headers = {"X-Api-Key": key}
    url = "/api/v2/contacts/bulk?dry_run=true"
    answer = client.post(url, body, content_type="application/json", headers=headers).json()
    return "".join(error["code"] for error in answer["errors"])


def test_deleting_says_in_figures_what_it_means_and_keeps_the_members(admin_client: Client) -> None:
    account, sending_list = new_account()
    _, key = create_key(account, name="shop")
    join(sending_list, 3)
    join(sending_list, 1, unsubscribed_at=timezone.now())
    new_journey(account, joins(sending_list), name="Hello")
    branch = {"kind": "condition", "id": "s1", "test": joins(sending_list), "yes": "end"}
    new_journey(account, None, branch, name="Branch", status="paused")
    new_journey(account, joins(sending_list), name="Old", status="archived")
    new_journey(account, {"kind": "all", "of": []}, name="Other")
    with statements() as sent:
        asked = admin_client.get(page(sending_list, "delete")).content.decode()
    assert "4, of them 3 subscribed" in asked
    assert "Branch (paused), Hello (active)" in asked
    assert not [one for one in sent if "contacts_listcontact" in one]
    assert error_of(admin_client, key) == ""
    with statements() as sent:
        admin_client.post(page(sending_list, "delete"), {"confirmed": "yes"})
    assert not [one for one in sent if "contacts_listcontact" in one]
    sending_list.refresh_from_db()
    assert sending_list.status == "deleted"
    assert sending_list.memberships.count() == 4
    assert error_of(admin_client, key) == "list_not_found"
    assert "Deleted" in LogEntry.objects.latest("pk").get_change_message()


def test_a_deleted_list_is_for_looking_and_can_be_restored(admin_client: Client) -> None:
    account, sending_list = new_account()
    SendingList.objects.update(status="deleted")
    assert 'name="_save"' not in admin_client.get(page(sending_list, "change")).content.decode()
    assert (
        "is deleted already" in admin_client.get(page(sending_list, "delete"), follow=True).content.decode()
    )
    admin_client.post(page(sending_list, "restore"), {"confirmed": "yes"})
    sending_list.refresh_from_db()
    assert sending_list.status == "active"
    assert admin_client.get(page(sending_list, "restore")).status_code == 403
    SendingList.objects.update(status="deleted")
    SendingList.objects.create(account=account, phone_number=LIST)
    url = page(sending_list, "restore")
    said = admin_client.post(url, {"confirmed": "yes"}, follow=True).content.decode()
    assert f"{LIST} is the number of another list now." in said


def test_a_form_neither_deletes_a_list_nor_moves_it(admin_client: Client) -> None:
    account, sending_list = new_account()
    other, _ = new_account()
    form = {"account": other.pk, "phone_number": LIST, "brand_name": "", "list_name": ""}
    refused = admin_client.post(page(sending_list, "change"), {**form, "status": "deleted"})
    assert "not one of the available choices" in refused.content.decode()
    admin_client.post(page(sending_list, "change"), {**form, "status": "paused"})
    sending_list.refresh_from_db()
    assert (sending_list.status, sending_list.account) == ("paused", account)


def test_the_database_refuses_to_delete_a_list_with_members() -> None:
    _, sending_list = new_account()
    join(sending_list, 2)
    with transaction.atomic():
        SendingList.objects.filter(pk=sending_list.pk).delete()
        with pytest.raises(IntegrityError):
            connection.check_constraints()
        transaction.set_rollback(True)
