"""A list's export, page by page."""

import pytest
from django.db import connection
from django.utils import timezone

from contacts.models import Contact, ListContact
from tests.support import new_account, new_numbers
from trackly.api import export


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_the_client_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_PAGE_SIZE", 2)
    _, made = new_account()
    people = Contact.objects.bulk_create(Contact(phone_number=number) for number in new_numbers(5))
    ListContact.objects.bulk_create(
        ListContact(sending_list=made, contact=one, signup_date=timezone.now()) for one in people
    )
    seen = [(piece.count("\r\n"), connection.connection is None) for piece in export.members_csv(made)]
    assert [lines for lines, _ in seen] == [1, 2, 2, 1]  # the head, and three pages
    assert all(is_free for _, is_free in seen[1:])
