"""Lists of large tables in the admin: counted to a bound, searched by indexes, ended after a while."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import BooleanField
from django.forms import ModelChoiceField, Select
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.models import Account
from billing import ledger
from billing.models import Disposition, LedgerEntry
from billing.validation import Finding
from contacts.models import Contact, ListContact
from core.admin import BoundedPaginator, TableAdmin
from ingestion.models import BulkJob
from lookups.models import Kind, Lookup
from tests.support import new_account, new_numbers, statements

pytestmark = pytest.mark.django_db
JOBS, MEMBERS, LEDGER = "/admin/bulk/bulkjob/", "/admin/contacts/listcontact/", "/admin/billing/ledgerentry/"
PAGES = list(admin.site._registry.items())


def found(client: Client, url: str, term: str) -> list[Any]:
    return list(client.get(url, {"q": term}).context["cl"].result_list)


def test_a_list_counts_to_a_bound_and_says_so(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    account, _ = new_account()
    BulkJob.objects.bulk_create(BulkJob(account=account, total=1) for _ in range(120))
    monkeypatch.setattr(BoundedPaginator, "MOST", 100)
    with statements() as sent:
        shown = " ".join(admin_client.get(JOBS).content.decode().split())
    counts = [one for one in sent if "COUNT(" in one and "bulk_bulkjob" in one]
    assert ["LIMIT 101" in one for one in counts] == [True]
    assert "the first 100 bulk jobs; search or filter to see others" in shown
    assert admin_client.get(JOBS, {"p": 2}).context["cl"].result_count == 100
    assert admin_client.get(JOBS, {"p": 3}).status_code == 302  # there is none
    BulkJob.objects.filter(pk__in=list(BulkJob.objects.values_list("pk", flat=True)[:80])).delete()
    assert "40 bulk jobs" in " ".join(admin_client.get(JOBS).content.decode().split())


def test_a_list_that_takes_too_long_is_ended_and_says_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.admin.LIST_SECONDS", 0.05)
    monkeypatch.setattr(
        "ingestion.admin.BulkJobAdmin.get_queryset",
        lambda *_: BulkJob.objects.extra(where=["pg_sleep(20) IS NOT NULL"]),
    )
    BulkJob.objects.create(account=new_account()[0], total=1)
    ended = admin_client.get(JOBS, {"q": "", "status__exact": "queued"})
    assert ended.headers["Location"] == JOBS
    assert admin_client.get(JOBS).headers["Location"] == "/admin/"  # and not to itself
    assert "took longer than" in admin_client.get("/admin/").content.decode()


def test_a_search_looks_for_related_rows_first(admin_client: Client) -> None:
    account, sending_list = new_account()
    Account.objects.filter(pk=account.pk).update(name="Acme")
    job = BulkJob.objects.create(account=account, total=1)
    BulkJob.objects.create(account=new_account()[0], total=1)
    number, other = new_numbers(2)
    for one in Contact.objects.bulk_create([Contact(phone_number=number), Contact(phone_number=other)]):
        ListContact.objects.create(sending_list=sending_list, contact=one, signup_date=timezone.now())
    finding = Finding(Disposition.OK, True, "mobile", "", False, False, "US")  # noqa: FBT003
    ledger.record(account.pk, {number: finding})
    assert found(admin_client, JOBS, "acm") == [job]
    assert found(admin_client, JOBS, str(job.pk)) == [job]
    assert found(admin_client, JOBS, "nothing") == []
    assert [str(one.contact) for one in found(admin_client, MEMBERS, number)] == [number]
    assert (
        found(admin_client, LEDGER, number)
        == found(admin_client, LEDGER, "Acme")
        == [LedgerEntry.objects.get()]
    )
    with statements() as sent:
        found(admin_client, JOBS, "acm")
    assert not [one for one in sent if "bulk_bulkjob" in one and "LIKE" in one]
    Lookup.objects.create(kind=Kind.VALIDATION, scope=account.pk, phone_number=number)
    assert len(found(admin_client, "/admin/lookups/lookup/", number)) == 1


def test_a_search_that_many_related_rows_match_says_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TableAdmin, "MATCHES", 1)
    new_account(), new_account()
    said = admin_client.get(JOBS, {"q": "Test"}).content.decode()
    assert "More than 1 accounts match" in said


@pytest.mark.parametrize("term", ["nothing", "198.51.100.7", "0", "+1415", "a" * 300, "99999999999999999999"])
@pytest.mark.parametrize(("model", "page"), PAGES, ids=lambda given: getattr(given, "__name__", ""))
def test_every_list_can_be_searched_for_anything(
    admin_client: Client, model: Any, page: Any, term: str
) -> None:
    assert isinstance(page, TableAdmin), "its lists and deletions are bounded"
    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    assert admin_client.get(url, {"q": term}).status_code == 200


@pytest.mark.parametrize(("model", "page"), PAGES, ids=lambda given: getattr(given, "__name__", ""))
def test_no_form_offers_all_rows_of_a_table(model: Any, page: Any, admin_user: Any) -> None:
    request = RequestFactory().get("/")
    request.user = admin_user
    assert page.date_hierarchy is None
    if not (page.has_add_permission(request) or page.has_change_permission(request)):
        return  # texts and links alone
    for name, field in page.get_form(request)().fields.items():
        if isinstance(field, ModelChoiceField) and name not in ("groups", "user_permissions", "permissions"):
            widget = getattr(field.widget, "widget", field.widget)
            assert isinstance(widget, AutocompleteSelect) or not isinstance(widget, Select), (model, name)


@pytest.mark.parametrize(("model", "page"), PAGES, ids=lambda given: getattr(given, "__name__", ""))
def test_a_boolean_is_shown_in_words(model: Any, page: Any, admin_user: Any) -> None:
    """unfold's icon is a green tick for true, also on "on a do-not-call list"."""
    request = RequestFactory().get("/")
    request.user = admin_user
    booleans = {field.name for field in model._meta.fields if isinstance(field, BooleanField)}
    in_words = {name for name in booleans if callable(getattr(page, name, None))}
    shown = set(page.get_list_display(request))
    if not page.has_change_permission(request):
        shown |= set(page.get_fields(request, model()))
    assert shown & (booleans - in_words) == set()


def test_a_number_on_a_do_not_call_list_does_not_look_good(admin_client: Client) -> None:
    account, _ = new_account()
    finding = Finding(Disposition.RISKY, True, "mobile", "", False, True, "US")  # noqa: FBT003
    ledger.record(account.pk, {new_numbers(1)[0]: finding})
    shown = admin_client.get("/admin/billing/validation/").content.decode()
    label = shown[: shown.index("Listed")].rsplit("<span", 1)[1]
    assert "bg-red-100" in label
    assert "check_small" not in shown
