"""The page to read and try the API, as a person uses it."""

from playwright.sync_api import Page, expect

from tests.conftest import RunningStack
from tests.support import contact


def test_a_request_sent_from_the_page_succeeds(stack: RunningStack, page: Page) -> None:
    api = stack.account()
    api.summary(contact(), contact())
    page.goto(f"{stack.base}/api/v2/docs")
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("apiKey-value").or_(page.locator(".auth-container input")).first.fill(
        api.headers["X-Api-Key"]
    )
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".auth-btn-wrapper .btn-done").click()
    operation = page.locator("#operations-lists-list_lists")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response").first
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    expect(answer).to_contain_text('"contact_count": 2')
