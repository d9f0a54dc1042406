"""Tallies agree with the memberships, whoever writes them."""

import pytest
from django.db.models import Q
from django.utils import timezone

from contacts import tally
from contacts.models import Contact, ListContact, ListTally, SendingList
from tests.support import new_account, new_numbers

pytestmark = pytest.mark.django_db


def counted(made: SendingList) -> tally.Tally:
    members = ListContact.objects.filter(sending_list=made)
    return tally.Tally(members.count(), members.filter(unsubscribed_at=None).count())


def join(made: SendingList, count: int) -> None:
    contacts = Contact.objects.bulk_create(Contact(phone_number=number) for number in new_numbers(count))
    ListContact.objects.bulk_create(
        ListContact(sending_list=made, contact=contact, signup_date=timezone.now()) for contact in contacts
    )


def test_a_tally_follows_every_kind_of_write() -> None:
    _, first = new_account()
    _, second = new_account()
    join(first, 5)
    join(second, 3)
    members = ListContact.objects.filter(sending_list=first).order_by("pk")
    some = list(members.values_list("pk", flat=True))

    def agree() -> bool:
        return tally.of_lists([first.pk, second.pk]) == {first.pk: counted(first), second.pk: counted(second)}

    assert tally.of_lists([first.pk])[first.pk] == (5, 5)
    ListContact.objects.filter(pk__in=some[:2]).update(unsubscribed_at=timezone.now())
    assert agree()
    ListContact.objects.filter(pk=some[0]).update(unsubscribed_at=None)
    assert agree()
    rows = ListTally.objects.count()
    ListContact.objects.filter(~Q(pk=0)).update(url="https://x.test/")
    assert ListTally.objects.count() == rows
    ListContact.objects.filter(pk__in=some[1:3]).delete()
    assert agree()
    ListContact.objects.filter(pk=some[4]).update(sending_list=second)
    assert agree()
    members.delete()
    assert agree()
    first.delete()  # the database takes its tallies with it
    assert tally.of_lists([second.pk, first.pk]) == {second.pk: counted(second), first.pk: (0, 0)}


def test_adding_up_leaves_the_sums_as_they_are() -> None:
    _, busy = new_account()
    _, quiet = new_account()
    for _ in range(25):
        join(busy, 2)
    join(quiet, 1)
    before = tally.of_lists([busy.pk, quiet.pk])
    tally.add_up()
    assert tally.of_lists([busy.pk, quiet.pk]) == before == {busy.pk: (50, 50), quiet.pk: (1, 1)}
    assert ListTally.objects.count() == 2
    assert tally.of_lists([]) == {}
