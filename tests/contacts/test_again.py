"""Unverified numbers are asked about again, and people see when."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from contacts.carriers import again
from contacts.models import Contact
from devstack.sandbox.server import Stub
from lookups.models import Kind, Lookup
from tests.support import new_number, new_numbers
from trackly.ops.tasks import look_up_again

pytestmark = pytest.mark.django_db


def unanswered(number: str, *, due: bool = True) -> None:
    """A number that nobody answered for."""
    moment = timezone.now() + timedelta(hours=-1 if due else 1)
    Lookup.objects.create(kind=Kind.CARRIER, phone_number=number, failures=3, retry_at=moment)


def test_what_is_answered_reaches_the_contact(stub: Stub) -> None:
    number, landline = new_number(), "+12025550102"
    for phone_number in (number, landline):
        Contact.objects.create(phone_number=phone_number)
        unanswered(phone_number)
    assert again.look_up_again() == 2
    found = {contact.phone_number: contact for contact in Contact.objects.all()}
    assert (found[number].line_type, found[number].can_receive) == ("CELL PHONE", True)
    assert (found[landline].line_type, found[landline].can_receive) == ("LANDLINE", False)
    assert [found[n].not_sendable_reason for n in (number, landline)] == ["", "landline"]
    assert all(contact.verified_at for contact in found.values())
    assert not again.unanswered().exists()
    assert again.look_up_again() == 0
    assert stub.asked("twilio", number) == 1


def test_while_nobody_answers_one_question_is_enough(stub: Stub) -> None:
    numbers = new_numbers(5)
    for number in numbers:
        Contact.objects.create(phone_number=number)
        unanswered(number)
    stub.faults.dead = True
    assert again.look_up_again() == 0
    assert sum(bool(stub.asked("twilio", number)) for number in numbers) == 1
    assert sorted(Lookup.objects.values_list("failures", flat=True)) == [3, 3, 3, 3, 4]


def test_customers_come_first_where_the_provider_has_a_rate(settings: Any) -> None:
    settings.TRACKLY_RATES = {**settings.TRACKLY_RATES, "twilio": 2.0}
    assert again._how_many() == 10
    settings.TRACKLY_RATES = {**settings.TRACKLY_RATES, "twilio": 0.0}
    assert again._how_many() == again.AT_ONCE


def test_only_contacts_are_asked_about_and_only_when_they_are_due(stub: Stub) -> None:
    nobody, later = new_numbers(2)
    unanswered(nobody)
    Contact.objects.create(phone_number=later)
    unanswered(later, due=False)
    assert again.look_up_again() == 0
    assert not stub.log.outcomes


def test_a_run_takes_a_few_those_first_that_have_waited_longest(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "AT_ONCE", 2)
    numbers = new_numbers(3)
    for number in numbers:
        Contact.objects.create(phone_number=number)
        unanswered(number)
    oldest = timezone.now() - timedelta(days=1)
    Lookup.objects.filter(phone_number=numbers[2]).update(retry_at=oldest)
    assert again.look_up_again() == 2
    assert stub.asked("twilio", numbers[2]) == 1
    assert again.look_up_again() == 1


def test_who_still_gets_no_answer_waits_longer(stub: Stub) -> None:
    number = new_number()
    Contact.objects.create(phone_number=number)
    unanswered(number)
    stub.faults.dead = True
    assert again.look_up_again() == 0
    row = Lookup.objects.get()
    assert row.failures == 4
    assert row.retry_at is not None
    assert row.retry_at > timezone.now() + timedelta(seconds=300 * 2**3 - 60)
    assert Contact.objects.get().verified_at is None


def test_answers_that_are_too_old_are_forgotten(stub: Stub) -> None:
    for kind, days in ((Kind.CARRIER, 89), (Kind.CARRIER, 91), (Kind.VALIDATION, 0), (Kind.VALIDATION, 2)):
        answered_at = timezone.now() - timedelta(days=days)
        Lookup.objects.create(kind=kind, phone_number=new_number(), answer={}, answered_at=answered_at)
    look_up_again()
    kept = Lookup.objects.values_list("kind", flat=True)
    assert sorted(kept) == [Kind.CARRIER, Kind.VALIDATION]


def test_the_admin_shows_it_and_can_hurry_it(admin_client: Client) -> None:
    number = new_number()
    contact = Contact.objects.create(phone_number=number)
    unanswered(number, due=False)
    page = admin_client.get(f"/admin/contacts/contact/{contact.pk}/change/").content.decode()
    assert "unanswered (3 attempts)" in page
    _ask_again(admin_client)
    due = Lookup.objects.get().retry_at
    assert due is not None
    assert due <= timezone.now()


def test_who_may_only_look_can_not_hurry_it(client: Client, django_user_model: Any) -> None:
    looker: User = django_user_model.objects.create_user("looker", password="x", is_staff=True)
    looker.user_permissions.add(*Permission.objects.filter(codename="view_lookup"))
    client.force_login(looker)
    unanswered(new_number(), due=False)
    _ask_again(client)
    due = Lookup.objects.get().retry_at
    assert due is not None
    assert due > timezone.now()


def _ask_again(client: Client) -> None:
    chosen = {"action": "retry", "_selected_action": [Lookup.objects.get().pk]}
    client.post("/admin/lookups/lookup/", chosen)
