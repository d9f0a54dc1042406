"""The journey builder, as a marketer uses it."""

import os
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import log_in
from tests.conftest import RunningStack
from tests.support import contact, eventually, new_numbers


def test_a_marketer_builds_a_journey_and_sees_who_is_on_it(
    stack: RunningStack, page: Page, tmp_path: Path
) -> None:
    api = stack.account()
    api.summary(contact(custom_fields={"first_name": "Old", "plan": "gold"}))
    shots = Path(os.environ.get("SCREENSHOTS", tmp_path))
    [(account_name,)] = stack.rows("SELECT name FROM accounts_account WHERE id = %s", api.account_id)
    log_in(page, stack)

    journey = make_journey(page, stack, api.account_id, account_name)
    build(page)
    expect(page.locator(".jb-preview svg .jb-box")).to_have_count(7)
    page.screenshot(path=shots / "builder.png", full_page=True)
    assert page.locator(".jb-problems li").count() == 0

    page.get_by_label("Custom fields").fill("first_name = Jane\nplan = Gold")
    page.locator("[data-trial] input[name=trial-start]").fill("2026-03-07 18:00")
    page.locator("[data-trial] select[name=trial-time_zone]").select_option("America/New_York")
    page.get_by_role("button", name="Run trial").click()
    lines = page.locator(".jb-lines li")
    expect(lines.first).to_contain_text("“Hi Jane, welcome!” (GSM-7, 1 segment)")
    expect(lines.nth(2)).to_contain_text("Sun 8 Mar 2026, 18:00")  # 23 hours later
    expect(lines.nth(3)).to_contain_text("Mon 9 Mar 2026, 10:00")
    expect(page.get_by_text("The trigger matches this contact.")).to_be_visible()
    page.screenshot(path=shots / "trial.png", full_page=True)

    page.get_by_label("Status").select_option("active")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()

    gold, silver = new_numbers(2)
    summary = api.summary(
        contact(gold, use_journeys=True, custom_fields={"plan": "GOLD"}),
        contact(silver, use_journeys=True, custom_fields={"plan": "silver"}),
        contact(use_journeys=True),
    )
    assert summary["journeys_enrolled"] == 2
    there = "SELECT count(*) FROM journeys_enrollment WHERE step = 's2' AND journey_id = %s"
    eventually(lambda: stack.count(there, journey), lambda found: found == 2)
    page.goto(f"{stack.base}/admin/journeys/journey/{journey}/change/")
    expect(page.get_by_text("Version 1: 2 enrolled")).to_be_visible()
    expect(page.locator(".jb-funnel tr").nth(0)).to_contain_text("2 (100%)")
    expect(page.locator(".jb-funnel tr").nth(1)).to_contain_text("2 (100%) · 2 here")
    page.get_by_text("As a flow chart").click()
    page.screenshot(path=shots / "funnel.png", full_page=True)


def make_journey(page: Page, stack: RunningStack, account_id: int, account_name: str) -> int:
    page.goto(f"{stack.base}/admin/journeys/journey/add/")
    page.get_by_label("Name").fill("Greeting")
    page.locator(".select2-selection").first.click()
    page.locator(".select2-search__field").fill(account_name)
    page.locator(f".select2-results__option:has-text('{account_name}')").first.wait_for()
    page.locator("select[name=account]").evaluate(
        "(select, id) => { select.append(new Option('chosen', id, true, true)); }", str(account_id)
    )
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Journey created. Add a trigger and steps.")).to_be_visible()
    return int(page.url.rstrip("/").split("/")[-2])


def build(page: Page) -> None:
    trigger, steps = page.locator("[data-builder-for=trigger]"), page.locator("[data-builder-for=steps]")
    trigger.get_by_role("button", name="Add a condition").click()
    trigger.get_by_label("What to check").select_option("list")
    trigger.get_by_role("button", name="Add a condition").click()
    trigger.get_by_label("Field name").fill("plan")
    trigger.get_by_label("Comparison").nth(1).select_option("in")
    trigger.get_by_label("Values, separated by commas").fill("gold, silver")

    def add(name: str) -> None:
        steps.get_by_role("button", name=f"Add: {name}", exact=True).click()

    add("Send a message")
    steps.get_by_label("Text").fill("Hi {{first_name|there}}, welcome!")
    add("Wait")
    add("Wait until")
    add("Condition")
    steps.get_by_label("Field name").fill("plan")
    steps.get_by_label("Value", exact=True).fill("gold")
    steps.get_by_label("If no, go to").select_option("end")
    add("Send a message")
    steps.get_by_label("Text").nth(1).fill("For gold only")
    add("Exit")


def test_what_is_wrong_with_a_journey_is_said_at_its_step(stack: RunningStack, page: Page) -> None:
    api = stack.account()
    log_in(page, stack)
    [(account_name,)] = stack.rows("SELECT name FROM accounts_account WHERE id = %s", api.account_id)
    make_journey(page, stack, api.account_id, account_name)
    steps = page.locator("[data-builder-for=steps]")
    steps.get_by_role("button", name="Add: Send a message", exact=True).click()
    steps.get_by_label("Text").fill("Hi {{first_name")
    said = page.locator("[data-problems='1'] li")
    expect(said).to_have_text('Correct the merge tag at "{{first_name": write {{name}} or {{name|fallback}}.')
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Step 1, Send a message: correct the merge tag").first).to_be_visible()
    expect(steps.get_by_label("Text")).to_have_value("Hi {{first_name")  # nothing is lost
