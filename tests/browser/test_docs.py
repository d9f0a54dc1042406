"""The page to read and try the API, as a person uses it."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.axe import findings_in_every_look
from tests.conftest import RunningStack
from tests.support import Api, contact


def opened(page: Page, operation: str) -> Locator:
    """An operation of the page, expanded."""
    found = page.locator(f"#operations-{operation}")
    found.locator(".opblock-summary").click()
    expect(found.get_by_role("button", name="Execute")).to_be_visible()
    return found


def authorize(page: Page, api: Api) -> None:
    page.get_by_role("button", name="Authorize").click()
    page.get_by_role("textbox", name="API key").fill(api.headers["X-Api-Key"])
    page.locator(".auth-btn-wrapper .authorize").click()
    page.get_by_role("button", name="Close").last.click()


def test_a_request_sent_from_the_page_succeeds(stack: RunningStack, page: Page) -> None:
    api = stack.account()
    api.summary(contact(), contact())
    page.goto(f"{stack.base}/api/v2/docs")
    authorize(page, api)
    operation = opened(page, "Lists-list_lists")
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response").first
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    expect(answer).to_contain_text('"contact_count": 2')


def test_the_page_is_accessible_in_every_look(stack: RunningStack, page: Page) -> None:
    """With the dialog for the key over it; then with operations expanded, one of them answered."""
    page.goto(f"{stack.base}/api/v2/docs")
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("textbox", name="API key")).to_be_visible()
    assert findings_in_every_look(page) == {}
    page.get_by_role("button", name="Close").last.click()
    authorize(page, stack.account())
    opened(page, "Contacts-bulk_create_contacts")  # parameters, a body, examples to choose from
    answered = opened(page, "Lists-list_lists")
    answered.get_by_role("button", name="Execute").click()
    expect(answered.locator(".live-responses-table .response")).to_be_visible()
    assert findings_in_every_look(page) == {}


def test_the_page_fits_a_phone(stack: RunningStack, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{stack.base}/api/v2/docs")
    opened(page, "Contacts-bulk_create_contacts")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
