"""Every page of the admin, as a person meets it: accessible in each look, and no wider than the screen."""

import os
import re
from collections.abc import Iterator

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from playwright.sync_api import Page, expect

from accounts.models import Account
from tests.browser.axe import findings, looks
from tests.browser.conftest import log_in
from tests.conftest import RunningStack
from tests.support import contact, eventually, new_number

_ROWS = """
INSERT INTO billing_invoice (
    account_id, month, reference, micro_dollars, carried_in, cents, status, tried_with, created_at
) VALUES (%(account)s, '2026-09-01', gen_random_uuid(), 1200000, 0, 120, 'failed', '', now());
INSERT INTO billing_stripeevent (stripe_id, type, object_id, created_at, received_at)
    VALUES ('evt_1', 'invoice.paid', 'in_1', now(), now());
INSERT INTO bulk_incident (kind, job_id, count, at)
    SELECT 'sent_again', id, 1, now() FROM bulk_bulkjob LIMIT 1;
INSERT INTO lookups_lookup (kind, scope, phone_number, failures, retry_at)
    VALUES ('carrier', 0, %(number)s, 3, now() + interval '1 day');
INSERT INTO axes_accessattempt (
    user_agent, ip_address, username, http_accept, path_info, attempt_time, get_data, post_data,
    failures_since_start
) VALUES ('Browser', '198.51.100.7', 'guest', '*/*', '/admin/login/', now(), '', '', 5);
INSERT INTO axes_accessfailurelog (
    user_agent, ip_address, username, http_accept, path_info, attempt_time, locked_out
) VALUES ('Browser', '198.51.100.7', 'guest', '*/*', '/admin/login/', now(), true);
INSERT INTO auth_group (name) VALUES ('Support') ON CONFLICT DO NOTHING;
"""
ACTIONS = {
    "accounts_account": ["suspend", "close"],
    "billing_billingconfig": ["suspend", "resume", "set-up-payment"],
}
"""Pages that ask, by the model's URLs."""


def test_every_page_can_be_used_by_everybody(stack: RunningStack, page: Page) -> None:
    fill(stack, page)
    shots = os.environ.get("SCREENSHOTS")
    found: list[str] = []
    for path in ["login/", *paths(stack)]:
        if path == "login/":
            page.context.clear_cookies()
        response = page.goto(f"{stack.base}/admin/{path}")
        assert response is not None
        if response.status == 403 and path.endswith(("/add/", "/delete/")):
            continue  # a page for looking
        assert response.status == 200, path
        for look in looks(page):
            # The theme reads the scheme when a page begins.
            page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", "dark" in look)
            wrong = findings(page)
            width = page.evaluate("() => document.documentElement.scrollWidth")
            if width > page.viewport_size["width"]:  # type: ignore[index] # it has one
                wrong.append(f"{width} pixels wide")
            found += [f"{path or 'index'}, {look}: {what}" for what in wrong]
            if shots:
                page.screenshot(path=f"{shots}/{re.sub(r'[^a-z0-9]+', '_', path) or 'index'}_{look}.png")
        if path == "login/":
            log_in(page, stack)
    assert not found, "\n".join(found)


def fill(stack: RunningStack, page: Page) -> None:
    """At least a row of everything that has a page."""
    api = stack.account("--billing", "active", "--welcome-journey", "Hello")
    api.summary(*(contact(use_journeys=True, use_validation=True) for _ in range(3)), contact("+1"))
    there = "SELECT count(*) FROM journeys_outboundmessage AS m JOIN contacts_listcontact AS c"
    mine = f"{there} ON c.id = m.list_contact_id JOIN contacts_sendinglist AS l ON l.id = c.sending_list_id"
    eventually(
        lambda: stack.count(f"{mine} WHERE l.account_id = %s", api.account_id), lambda found: found == 3
    )
    with stack.connect() as connection:
        for statement in _ROWS.split(";\n"):
            if statement.strip():
                connection.execute(
                    statement,
                    {"account": api.account_id, "number": new_number()} if "%(" in statement else None,
                )
    log_in(page, stack)
    # So that there is a history.
    page.goto(f"{stack.base}/admin/accounts/account/{api.account_id}/suspend/")
    page.get_by_label("Reason").fill("a test")
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("is suspended.")).to_be_visible()


def paths(stack: RunningStack) -> Iterator[str]:
    """The pages of every model: its list, a row's page, what may be added, deleted or done."""
    account, user = newest(stack, Account), newest(stack, User)
    yield from ["", "password_change/", "contacts/contact/?q=nothing", f"auth/user/{user}/password/"]
    yield f"accounts/account/{account}/history/"
    for model in admin.site._registry:
        name = f"{model._meta.app_label}/{model._meta.model_name}"
        yield f"{name}/"
        yield f"{name}/add/"
        row = newest(stack, model)
        yield f"{name}/{row}/change/"
        yield f"{name}/{row}/delete/"
        for action in ACTIONS.get(name.replace("/", "_"), []):
            yield f"{name}/{row}/{action}/"


def newest(stack: RunningStack, model: type[Model]) -> object:
    """The key of a row; every model has one."""
    table, key = model._meta.db_table, model._meta.pk.column
    [(row,)] = stack.rows(f"SELECT {key} FROM {table} ORDER BY {key} DESC LIMIT 1")
    return row
