"""API keys and the command that makes accounts."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.keys import KEY_PATTERN, NotRotatable, create_key, find_key, record_use, rotate_key
from accounts.models import Account, ApiKey
from billing.gate import refusal
from journeys.models import Journey
from tests.support import joins, new_account, statements

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


def test_a_use_is_recorded_without_waiting_for_a_lock_on_the_key() -> None:
    """An administrator's transaction may have the row; the request goes on, and the next one records."""
    row, _ = create_key(new_account()[0], name="a")
    with statements() as sent:
        record_use(row)
    assert [statement for statement in sent if "SKIP LOCKED" in statement]


def test_a_key_is_found_by_one_statement() -> None:
    _, key = create_key(new_account()[0], name="a", expires_at=timezone.now() + timedelta(days=1))
    with statements() as sent:
        assert find_key(key) is not None
    assert len(sent) == 1


def test_a_key_ends_at_its_end_date() -> None:
    row, key = create_key(new_account()[0], name="a", expires_at=timezone.now() + timedelta(days=1))
    assert find_key(key) == row
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(microseconds=1))
    assert find_key(key) is None


def test_a_successor_works_beside_the_key_until_that_ends() -> None:
    old, old_key = create_key(new_account()[0], name="a", scopes=["contacts:read"])
    new, new_key = rotate_key(old.pk)
    assert (new.account, new.name, new.scopes, new.replaces) == (old.account, "a", ["contacts:read"], old)
    assert (find_key(old_key), find_key(new_key)) == (old, new)
    old.refresh_from_db()
    assert old.expires_at is not None
    assert timedelta(hours=23) < old.expires_at - timezone.now() <= timedelta(hours=24)
    ApiKey.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    assert (find_key(old_key), find_key(new_key)) == (None, new)


def test_an_overlap_never_puts_an_end_date_off() -> None:
    end = timezone.now() + timedelta(hours=1)
    old, _ = create_key(new_account()[0], name="a", expires_at=end)
    rotate_key(old.pk, overlap=timedelta(days=7))
    old.refresh_from_db()
    assert old.expires_at == end


def test_a_lost_successor_is_revoked_and_the_key_rotated_again() -> None:
    old, _ = create_key(new_account()[0], name="a")
    lost, _ = rotate_key(old.pk)
    with pytest.raises(NotRotatable, match="already has a successor"):
        rotate_key(old.pk)
    ApiKey.objects.filter(pk=lost.pk).update(revoked_at=timezone.now())
    again, _ = rotate_key(old.pk)
    assert again.replaces == old
    with pytest.raises(NotRotatable, match="is revoked"):
        rotate_key(lost.pk)


def printed(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    [line] = out.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_the_commands_make_and_rotate_a_key() -> None:
    account, _ = new_account()
    options = ["--scope", "contacts:read", "--scope", "webhooks", "--expires", "2126-01-31"]
    made = printed("create_key", str(account.pk), "shop", *options)
    found = find_key(made["api_key"])
    assert found is not None
    assert made == {
        "id": found.pk,
        "api_key": made["api_key"],
        "scopes": ["contacts:read", "webhooks"],
        "expires_at": "2126-01-31T00:00:00Z",
    }
    rotated = printed("rotate_key", str(found.pk), "--overlap", "0")
    assert (rotated["scopes"], rotated["expires_at"]) == (made["scopes"], None)
    assert find_key(rotated["api_key"]) is not None
    assert find_key(made["api_key"]) is None
    out = StringIO()
    call_command("create_key", account.pk, "shop", stdout=out)
    assert "Copy it now; it won't be shown again: trk_" in out.getvalue()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create_key", "0", "shop"], "no account 0"),
        (["create_key", "{account}", " "], "1 to 100 characters"),
        (["create_key", "{account}", "x" * 101], "1 to 100 characters"),
        (["create_key", "{account}", "shop", "--scope", "all"], "invalid choice"),
        (["create_key", "{account}", "shop", "--expires", "2020-01-01"], "has passed"),
        (["create_key", "{account}", "shop", "--expires", "soon"], "no ISO 8601 date"),
        (["rotate_key", "0"], "no key 0"),
        (["rotate_key", "{key}", "--overlap", "-1"], "must not be negative"),
        (["rotate_key", "{key}", "--overlap", "nan"], "must not be negative"),
        (["rotate_key", "{key}"], "is revoked"),
    ],
)
def test_the_commands_refuse_what_can_not_be_meant(arguments: list[str], said: str) -> None:
    account, _ = new_account()
    key, _ = create_key(account, name="a")
    ApiKey.objects.update(revoked_at=timezone.now())
    with pytest.raises(CommandError, match=said):
        call_command(*(part.format(account=account.pk, key=key.pk) for part in arguments))
    assert ApiKey.objects.count() == 1


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
