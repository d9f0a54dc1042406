"""API keys and the command that makes accounts."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from billing.gate import refusal
from journeys.models import Journey
from tests.support import joins, new_account
from trackly.accounts.keys import KEY_PATTERN, create_key, find_key, record_use
from trackly.accounts.models import Account, ApiKey

pytestmark = pytest.mark.django_db


def test_only_a_digest_of_a_key_is_kept() -> None:
    account, _ = new_account()
    row, key = create_key(account, name="integration")
    assert KEY_PATTERN.fullmatch(key)
    stored = ApiKey.objects.values().get(pk=row.pk)
    assert key[8:] not in str({**stored, "digest": row.digest})
    found = find_key(key)
    assert found is not None
    for ours, orms in ((found, ApiKey.objects.get(pk=row.pk)), (found.account, account)):
        orms.refresh_from_db()
        fields = [field.attname for field in ours._meta.concrete_fields]
        assert [getattr(ours, name) for name in fields] == [getattr(orms, name) for name in fields]


def test_an_account_has_several_keys_and_each_is_revoked_alone() -> None:
    account, _ = new_account()
    (first, first_key), (_, second_key) = (create_key(account, name=name) for name in "ab")
    ApiKey.objects.filter(pk=first.pk).update(revoked_at=timezone.now())
    assert find_key(first_key) is None
    assert find_key(second_key) is not None


def test_the_last_use_is_recorded_once_a_minute() -> None:
    row, _ = create_key(new_account()[0], name="a")
    record_use(row)
    row.refresh_from_db()
    first = row.last_used_at
    assert first is not None
    record_use(row)
    row.refresh_from_db()
    assert row.last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
    row.refresh_from_db()
    record_use(row)
    row.refresh_from_db()
    assert row.last_used_at is not None
    assert row.last_used_at >= first


def created(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("create_account", *arguments, "--json", stdout=out)
    [line] = out.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_create_account_prints_all_that_is_needed_on_one_line() -> None:
    made = created("Acme", "--list", "+18005551234", "--list", "+18005555678", "--welcome-journey", "Hello")
    account = Account.objects.get(pk=made["account_id"])
    key = find_key(str(made["api_key"]))
    assert key is not None
    assert key.account == account
    numbers = sorted(account.sending_lists.values_list("phone_number", flat=True))
    assert numbers == ["+18005551234", "+18005555678"]
    [journey] = Journey.objects.filter(account=account, status="active", name="Hello")
    assert journey.trigger == joins(*account.sending_lists.order_by("phone_number"))
    assert journey.version is not None
    assert set(made) == {"account_id", "api_key", "lists", "journeys"}


@pytest.mark.parametrize(
    ("billing", "code"),
    [
        ("none", "no_billing_config"),
        ("no_payment_method", "no_payment_method"),
        ("active", None),
        ("payment_failed", "payment_failed"),
        ("suspended", "suspended"),
    ],
)
def test_create_account_sets_billing_as_told(billing: str, code: str | None) -> None:
    made = created("Acme", "--list", "+18005551234", "--billing", billing)
    assert refusal(Account.objects.get(pk=made["account_id"])) == code


def test_create_account_refuses_a_list_that_is_no_number() -> None:
    with pytest.raises(CommandError, match=r"not an E\.164 number"):
        created("Acme", "--list", "8005551234")
    assert not Account.objects.exists()
