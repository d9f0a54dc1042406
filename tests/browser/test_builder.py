"""The journey builder: by the keyboard alone, with a session that ends, with two people, for all eyes."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Locator, Page, Route, expect

from tests.browser import axe
from tests.browser.conftest import log_in
from tests.conftest import RunningStack
from tests.support import contact

LOGIN = {"name": "sessionid"}


@pytest.fixture
def journey(stack: RunningStack, page: Page) -> str:
    """The address of a journey with one message, open in the browser of an operator."""
    api = stack.account("--welcome-journey", "Hello")
    api.summary(contact(custom_fields={"first_name": "Jane", "plan": "gold"}))
    [(pk,)] = stack.rows("SELECT id FROM journeys_journey WHERE account_id = %s", api.account_id)
    log_in(page, stack)
    expect(page.get_by_role("link", name="Journeys", exact=True).first).to_be_visible()
    address = f"{stack.base}/admin/journeys/journey/{pk}/change/"
    reopen(page, address)
    return address


def reopen(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(".jb-preview svg .jb-box").first).to_be_visible()


def step(page: Page, place: int) -> Locator:
    return page.locator(f".jb-step[data-place='{place}']")


def text(page: Page, place: int = 1) -> Locator:
    return step(page, place).get_by_label("Text")


def notice(page: Page, kind: str) -> Locator:
    return page.locator(f"[data-notice={kind}]")


def save(page: Page) -> None:
    page.get_by_role("button", name="Save and continue editing").click()


def sign_in_again(page: Page, stack: RunningStack) -> None:
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill(stack.operator_password)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.usefixtures("journey")
def test_the_focus_follows_what_the_keyboard_does(page: Page) -> None:
    def press(name: str, key: str = "Enter") -> None:
        page.get_by_role("button", name=name, exact=True).press(key)

    live = page.locator(".jb-live")
    press("Add: Wait")
    expect(step(page, 2).get_by_label("Wait for")).to_be_focused()
    expect(live).to_contain_text("Step 2, Wait, added.")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("3")
    press("Add: Exit", "Space")
    expect(step(page, 3)).to_be_focused()  # which has no field
    press("Move up step 3")
    expect(step(page, 2).get_by_role("button", name="Move up step 2")).to_be_focused()
    expect(live).to_contain_text("Step 3, Exit, is now step 2 of 3.")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # it is the first already
    expect(step(page, 1).get_by_role("button", name="Move up step 1")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(step(page, 2).get_by_role("button", name="Move down step 2")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(live).to_contain_text("Step 2, Exit, removed.")
    expect(step(page, 2).get_by_role("button", name="Remove step 2")).to_be_focused()
    expect(step(page, 2).get_by_label("Wait for")).to_have_value("3")
    page.keyboard.press("Enter")
    expect(step(page, 1).get_by_role("button", name="Remove step 1")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Add: Send a message")).to_be_focused()


@pytest.mark.usefixtures("journey")
def test_the_focus_stays_in_conditions(page: Page) -> None:
    trigger = page.locator("[data-builder-for=trigger]")
    trigger.get_by_role("button", name="Add a condition").press("Enter")
    kind = trigger.get_by_role("group", name="Row 2", exact=True).get_by_label("What to check")
    expect(kind).to_be_focused()
    kind.press("l")  # List
    expect(trigger.get_by_role("group", name="Row 2", exact=True).get_by_label("Demo")).to_have_count(0)
    expect(kind).to_be_focused()
    trigger.get_by_role("button", name="Add a group").press("Enter")
    expect(trigger.get_by_label("Match", exact=True).nth(1)).to_be_focused()
    expect(trigger.get_by_role("group", name="Row 3", exact=True)).to_be_visible()
    trigger.get_by_role("button", name="Remove the group").press("Enter")
    expect(trigger.get_by_role("button", name="Remove row 2")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(trigger.get_by_role("button", name="Add a condition")).to_be_focused()


def test_work_outlives_the_session(stack: RunningStack, page: Page, journey: str) -> None:
    page.context.clear_cookies(**LOGIN)
    text(page).fill("Written after the session had ended")
    expect(notice(page, "failure")).to_contain_text(
        "You were signed out. Your changes are kept in this browser."
    )
    page.get_by_role("link", name="Sign in here").click()
    sign_in_again(page, stack)
    expect(notice(page, "restored")).to_contain_text("are restored. They are not saved yet.")
    expect(text(page)).to_have_value("Written after the session had ended")
    page.context.clear_cookies(**LOGIN)
    save(page)  # without a word of warning before
    sign_in_again(page, stack)
    expect(text(page)).to_have_value("Written after the session had ended")
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    expect(notice(page, "restored")).to_have_count(0)
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('journey-draft:'))") == []
    text(page).fill("Not wanted")
    page.once("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.get_by_role("button", name="Discard my changes").click()
    expect(text(page)).to_have_value("Written after the session had ended")
    reopen(page, journey)
    expect(notice(page, "restored")).to_have_count(0)


def test_signing_in_in_another_tab_is_enough(stack: RunningStack, page: Page, journey: str) -> None:
    page.context.clear_cookies()
    text(page).fill("Kept open")
    expect(notice(page, "failure")).to_contain_text("You are signed out, or not allowed to change")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in in a new tab").click()
    sign_in_again(opened.value, stack)
    expect(text(opened.value)).to_have_value("Kept open")
    opened.value.close()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(notice(page, "failure")).to_have_count(0)
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    assert page.url == journey


def answer(status: int) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, body="")


@pytest.mark.usefixtures("journey")
@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (lambda route: route.abort(), "The server can't be reached."),
        (answer(403), "You are signed out, or not allowed to change this journey."),
        (answer(404), "This journey was deleted."),
        (answer(500), "The journey can't be checked: the server answered 500."),
    ],
)
def test_a_failed_check_is_said(page: Page, fails: Callable[[Route], None], said: str) -> None:
    page.route("**/preview/", fails)
    text(page).fill("Hello")
    expect(notice(page, "failure")).to_contain_text(f"{said} Your changes are kept in this browser.")
    page.unroute("**/preview/")
    text(page).fill("Hello again")
    expect(notice(page, "failure")).to_have_count(0)
    expect(page.locator(".jb-preview")).to_contain_text("Hello again")


@pytest.mark.usefixtures("journey")
def test_leaving_with_unsaved_changes_asks_first(page: Page) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    text(page).fill("Not saved")
    page.get_by_role("link", name="Enrollments").first.click(no_wait_after=True)
    expect(text(page)).to_have_value("Not saved")
    assert asked == ["beforeunload"]
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    assert asked == ["beforeunload"]


def test_of_two_who_edit_none_loses_work(page: Page, journey: str) -> None:
    with page.context.expect_page() as opened:
        page.evaluate("(address) => { window.open(address); }", journey)
    other = opened.value
    text(other).fill("The other's")
    save(other)
    expect(other.get_by_text("was changed successfully")).to_be_visible()
    other.close()
    text(page).fill("Mine")
    save(page)
    expect(page.get_by_text("operator saved this journey at")).to_be_visible()
    expect(text(page)).to_have_value("Mine")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open the saved journey in a new tab").click()
    saved = opened.value
    expect(notice(saved, "restored")).to_contain_text("This is the saved journey.")
    expect(text(saved)).to_have_value("The other's")
    saved.close()
    page.get_by_label("Replace the saved journey").check()
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    expect(text(page)).to_have_value("Mine")


@pytest.mark.usefixtures("journey")
def test_a_mistyped_tag_is_pointed_out_and_confirmed(page: Page) -> None:
    text(page).fill("Hi {{firstname}}")
    said = "{{firstname}} is on none of your latest contacts; did you mean {{first_name}}?"
    expect(page.locator("[data-warnings='1'] li")).to_have_text(said)
    save(page)
    expect(page.get_by_text(f"Step 1, Send a message: {said}")).to_be_visible()
    expect(notice(page, "sent")).to_contain_text("The journey is not saved")
    page.get_by_label("Go live anyway").check()
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()


def test_every_eye_can_read_it_and_a_faulty_step_keeps_its_place(page: Page, journey: str) -> None:
    steps = page.locator("[data-builder-for=steps]")
    for name in ("Wait", "Condition", "Wait until", "Set a field", "Send a message", "Exit"):
        steps.get_by_role("button", name=f"Add: {name}", exact=True).click()
    step(page, 2).get_by_label("Wait for").fill("31")
    step(page, 3).get_by_role("button", name="Add a group").click()
    text(page, 6).fill("Hi {{firstname}}")
    wait = step(page, 2).get_by_label("Wait for")
    expect(wait).to_have_attribute("aria-invalid", "true")
    expect(page.locator("[data-problems='2'] li")).to_have_text("Enter a whole number of days from 1 to 30.")
    expect(page.locator(".jb-preview .jb-box")).to_have_count(8)
    expect(page.locator(".jb-preview .jb-box").nth(1)).to_contain_text("2 · Wait")
    expect(page.locator(".jb-preview .jb-box").nth(1)).to_contain_text("Problem")
    expect(page.locator(".jb-preview .jb-box").nth(5)).to_contain_text("6 · Send a message")
    page.get_by_text("As a flow chart").click()
    page.get_by_role("button", name="Run trial").click()
    expect(page.locator("[data-trial-result] .jb-problems")).to_contain_text("Step 2, Wait: enter a whole")
    page.context.clear_cookies(**LOGIN)
    text(page).fill("Signed out")
    expect(notice(page, "failure")).to_be_visible()
    assert axe.findings_in_every_look(page) == {}
    for look in axe.looks(page):
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert widths[0] <= widths[1], look
    assert page.url == journey


@pytest.mark.usefixtures("journey")
def test_a_trial_and_a_refused_save_can_be_read_too(page: Page) -> None:
    page.get_by_role("button", name="Run trial").click()
    expect(page.locator(".jb-lines li").first).to_be_visible()
    text(page).fill("Hi {{firstname}}")
    save(page)
    expect(page.get_by_label("Go live anyway")).to_be_visible()
    assert axe.findings_in_every_look(page) == {}
