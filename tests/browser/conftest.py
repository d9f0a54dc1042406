"""A real Chromium: Debian's (`apt-get install chromium`), or the one that CHROMIUM names."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.conftest import RunningStack

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000
"""Milliseconds: for a slow machine. What is there is found at once."""
expect.set_options(timeout=PATIENCE)


def log_in(page: Page, stack: RunningStack) -> None:
    """Into the admin, as the operator."""
    page.goto(f"{stack.base}/admin/")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill(stack.operator_password)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture(scope="session")
def chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium: .ci/run installs Debian's")
        pytest.skip("no chromium on the PATH")
    return found


@pytest.fixture
def page(chromium: str, tmp_path: Path) -> Iterator[Page]:
    """A page; whatever it asks of any other host than the loopback fails the test."""
    elsewhere: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        made = browser.new_page(viewport={"width": 1280, "height": 1000})
        made.set_default_timeout(PATIENCE)
        made.on(
            "request",
            lambda request: None if "//127.0.0.1:" in request.url else elsewhere.append(request.url),
        )
        said: list[str] = []
        made.on("console", lambda message: said.append(message.text))
        yield made
        assert [line for line in said if "Content Security Policy" in line] == []
        made.screenshot(path=os.environ.get("SCREENSHOT") or tmp_path / "last.png")
        browser.close()
    assert [url for url in elsewhere if not url.startswith(("data:", "blob:"))] == []
