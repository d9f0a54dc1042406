"""Billing, as an operator and a customer meet it."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import log_in
from tests.conftest import RunningStack
from tests.support import contact


def test_a_customer_gives_a_card_and_the_operator_sees_the_months(stack: RunningStack, page: Page) -> None:
    api = stack.account("--billing", "no_payment_method")
    assert api.bulk(contact(use_validation=True)).status_code == 402
    log_in(page, stack)
    [config] = stack.rows("SELECT id FROM billing_billingconfig WHERE account_id = %s", api.account_id)[0]
    url = f"{stack.base}/admin/billing/billingconfig/{config}/change/"
    page.goto(url)
    page.get_by_role("link", name="Create payment-method link").click()
    page.get_by_role("button", name="Create link").click()
    said = page.get_by_text("Send this link to the customer:").inner_text()
    page.goto(said[said.index("http") :].strip())
    page.get_by_role("button", name="Give the test card").click()
    expect(page.get_by_text("Your payment method is registered")).to_be_visible()
    assert api.bulk(*(contact(use_validation=True) for _ in range(40))).status_code == 200
    page.goto(url)
    expect(page.get_by_text("Paid validation by month")).to_be_visible()
    expect(page.get_by_role("cell", name="$0.120000")).to_be_visible()
    assert page.locator("canvas.chart").bounding_box() is not None
