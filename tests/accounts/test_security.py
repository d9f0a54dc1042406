"""The admin and the API, seen by who should not get in, and by who wants to know who did what."""

import hmac
import json
import secrets
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as project
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from structlog.testing import capture_logs

from accounts.keys import create_key, find_key
from accounts.models import ApiKey
from billing.models import BillingConfig
from lookups.models import Kind, Lookup
from tests.support import new_account

pytestmark = pytest.mark.django_db


def test_django_s_own_check_for_production_is_clean(tmp_path: Any) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "DATABASE_URL": "postgresql://127.0.0.1:9/none",
        "TRACKLY_HOME": str(tmp_path),
    }
    command = [sys.executable, "-W", "ignore", "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(
        command, cwd=project.BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "no issues" in done.stdout) == (0, True), done.stdout + done.stderr


def test_pages_say_what_they_may_load_and_who_may_frame_them(client: Client) -> None:
    answer = client.get("/admin/login/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert answer["Referrer-Policy"] == "same-origin"


def test_who_guesses_passwords_is_locked_out(client: Client) -> None:
    User.objects.create_superuser("operator", password="right")

    def log_in(password: str, address: str = "198.51.100.7") -> int:
        form = {"username": "operator", "password": password}
        return client.post("/admin/login/", form, REMOTE_ADDR=address).status_code

    assert [log_in("wrong") for _ in range(5)] == [200] * 4 + [429]
    assert log_in("right") == 429
    assert log_in("right", "198.51.100.8") == 302  # his colleagues are not


def test_a_login_without_its_token_is_refused() -> None:
    strict = Client(enforce_csrf_checks=True)
    User.objects.create_superuser("operator", password="right")
    answer = strict.post("/admin/login/", {"username": "operator", "password": "right"})
    assert answer.status_code == 403


def test_a_session_s_cookie_is_out_of_the_reach_of_scripts(client: Client) -> None:
    User.objects.create_superuser("operator", password="right")
    client.post("/admin/login/", {"username": "operator", "password": "right"})
    cookie = client.cookies["sessionid"]
    assert (bool(cookie["httponly"]), cookie["samesite"]) == (True, "Lax")


ACTIONS = [
    ("billing", "billingconfig", "change_billingconfig", "suspend"),
    ("billing", "billingconfig", "change_billingconfig", "resume"),
    ("billing", "billingconfig", "change_billingconfig", "set-up-payment"),
]


@pytest.mark.parametrize("name", ["rotate", "revoke"])
def test_keys_are_rotated_and_revoked_only_with_the_permission(client: Client, name: str) -> None:
    key, _ = create_key(new_account()[0], name="theirs")
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client.force_login(viewer)
    url = f"/admin/accounts/apikey/{key.pk}/{name}/"
    assert client.get(url).status_code == client.post(url, {"overlap_hours": 1}).status_code == 403
    assert list(ApiKey.objects.values_list("expires_at", "revoked_at")) == [(None, None)]


@pytest.mark.parametrize(("app", "model", "permission", "name"), ACTIONS)
def test_actions_that_are_links_ask_first_and_want_a_permission(
    client: Client, app: str, model: str, permission: str, name: str
) -> None:
    account, _ = new_account()
    config = BillingConfig.objects.create(account=account)
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename=permission.replace("change", "view")))
    client.force_login(viewer)
    url = f"/admin/{app}/{model}/{config.pk}/{name}/"
    assert client.get(url).status_code == client.post(url).status_code == 403
    viewer.user_permissions.add(Permission.objects.get(codename=permission))
    before = config.status
    asked = client.get(url)
    assert (asked.status_code, b"csrfmiddlewaretoken" in asked.content) == (200, True)
    config.refresh_from_db()
    assert (config.status, LogEntry.objects.count()) == (before, 0)


def test_what_people_do_is_written_down(client: Client) -> None:
    account, _ = new_account()
    config = BillingConfig.objects.create(account=account)
    key, _ = create_key(account, name="theirs")
    asked = Lookup.objects.create(
        kind=Kind.CARRIER, phone_number="+12025550104", retry_at="2026-01-01T00:00Z"
    )
    client.force_login(User.objects.create_superuser("operator"))
    client.post(f"/admin/billing/billingconfig/{config.pk}/suspend/", {"reason": "fraud"})
    client.post(f"/admin/billing/billingconfig/{config.pk}/resume/", {"reason": "cleared"})
    client.post(f"/admin/accounts/apikey/{key.pk}/rotate/", {"overlap_hours": 1})
    client.post(f"/admin/accounts/apikey/{key.pk}/revoke/")
    client.post("/admin/lookups/lookup/", {"action": "retry", "_selected_action": asked.pk})
    done = [(entry.user.username, entry.get_change_message()) for entry in LogEntry.objects.order_by("pk")]
    [made] = key.successors.all()
    assert done == [
        ("operator", did)
        for did in (
            *(
                "Suspended: fraud",
                "Resumed: cleared",
                f"Rotated; the successor is {made.hint}….",
            ),
            *(f"Created as the successor of {key.hint}….", "Revoked.", "Retried."),
        )
    ]
    assert client.get("/admin/admin/logentry/").status_code == 200
    assert client.get("/admin/admin/logentry/add/").status_code == 403


def test_every_use_of_a_key_is_written_down_and_the_key_is_not(client: Client) -> None:
    account, _ = new_account()
    row, key = create_key(account, name="theirs")
    with capture_logs() as logs:
        client.get("/api/v2/contacts/+14155550123", headers={"X-Api-Key": key})
        client.get("/api/v2/lists", headers={"X-Api-Key": "trk_" + 32 * "0"})
    used, refused = (line for line in logs if line["event"] == "api_request")
    assert (used["account"], used["key"], used["status"]) == (account.pk, row.hint, 404)
    assert ("account" in refused, refused["key"], refused["status"]) == (False, "trk_0000", 401)
    assert key not in json.dumps(logs, default=str)


def test_a_key_is_kept_as_a_digest_and_compared_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    account, _ = new_account()
    row, key = create_key(account, name="theirs")
    compared = []
    compare = hmac.compare_digest

    def noting(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    assert find_key(key) == row
    assert compared
    assert key.encode() not in bytes(ApiKey.objects.get(pk=row.pk).digest)


def test_metrics_are_for_who_has_the_token(client: Client, settings: Any) -> None:
    assert client.get("/metrics").status_code == 404
    settings.TRACKLY_METRICS_TOKEN = "a long token"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 401


PASSWORD = "A-long-new-one-7"


@pytest.fixture
def personnel(client: Client) -> User:
    """Someone who may do all to users and groups, and nothing else; logged in."""
    user = User.objects.create_user("personnel", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    client.force_login(user)
    return user


def test_who_may_change_users_gives_no_rights(client: Client, personnel: User) -> None:
    """Themselves included: it is what would make anybody who may change users a superuser."""
    colleague = User.objects.create_user("colleague")
    group = Group.objects.create(name="everything")
    group.permissions.set(Permission.objects.all())
    every = [permission.pk for permission in Permission.objects.all()]
    form = {"username": "", "is_active": "on", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    rights = {"is_staff": "on", "is_superuser": "on", "groups": [group.pk], "user_permissions": every}
    for user in (personnel, colleague):
        named = {"username": user.username, "first_name": "Jo"}
        client.post(f"/admin/auth/user/{user.pk}/change/", {**form, **rights, **named})
        user.refresh_from_db()
        assert user.first_name == "Jo"  # the rest was saved
        assert not user.is_superuser
        assert not user.groups.exists()
        assert not user.user_permissions.exclude(content_type__app_label="auth").exists()
    assert not colleague.is_staff


def test_who_may_change_users_takes_over_none_with_more_rights(client: Client, personnel: User) -> None:
    boss = User.objects.create_superuser("boss", password="right")
    clerk = User.objects.create_user("clerk", password="right", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="change_account"))
    equal = User.objects.create_user("equal", password="right")
    new = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    for user, is_changed in ((boss, False), (clerk, False), (equal, True)):
        answer = client.post(f"/admin/auth/user/{user.pk}/password/", new)
        user.refresh_from_db()
        assert user.check_password(PASSWORD) == is_changed
        assert (answer.status_code == 403) != is_changed
        answer = client.post(f"/admin/auth/user/{user.pk}/delete/", {"post": "yes"})
        assert User.objects.filter(pk=user.pk).exists() != is_changed
    assert personnel.is_staff


def test_groups_are_a_superusers(client: Client, personnel: User) -> None:
    group = Group.objects.create(name="mine")
    personnel.groups.add(group)
    every = [permission.pk for permission in Permission.objects.all()]
    given = {"name": "mine", "permissions": every}
    assert client.post(f"/admin/auth/group/{group.pk}/change/", given).status_code == 403
    assert client.post("/admin/auth/group/add/", {**given, "name": "other"}).status_code == 403
    assert client.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}).status_code == 403
    assert [(one.name, one.permissions.count()) for one in Group.objects.all()] == [("mine", 0)]


@pytest.mark.parametrize("key", ["nonsense", "9" * 30, "-1", "1_2F"])
@pytest.mark.parametrize(
    "page",
    [
        "accounts/apikey/{}/rotate/",
        "accounts/apikey/{}/revoke/",
        "accounts/account/{}/suspend/",
        "billing/billingconfig/{}/change/",
        "billing/billingconfig/{}/resume/",
    ],
)
def test_a_page_of_what_is_not_there_fails_for_nobody(client: Client, page: str, key: str) -> None:
    client.force_login(User.objects.create_superuser("operator"))
    assert client.get(f"/admin/{page.format(key)}").status_code in {302, 403}
    assert client.post(f"/admin/{page.format(key)}", {"confirmed": "yes"}).status_code in {302, 403}


def test_a_filter_that_the_database_refuses_is_said(client: Client) -> None:
    client.force_login(User.objects.create_superuser("operator"))
    answer = client.get("/admin/accounts/account/?name__regex=(", follow=True)
    assert answer.status_code == 200
    assert "This filter can" in answer.content.decode()
