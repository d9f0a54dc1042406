"""What axe-core finds on a page: the accessibility rules that a program can check.

The script comes from a wheel (axe-playwright-python), so nothing is fetched while the tests run.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from playwright.sync_api import Page

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (1440, 390)
_GRAVE = {"serious", "critical"}
# A colour in the middle of a transition is none that anyone has to read: what moves is let come to rest.
_RUN = """
async () => {
    const ends = (animation) => animation.effect?.getComputedTiming().endTime !== Infinity;
    await Promise.allSettled(document.getAnimations().filter(ends).map((animation) => animation.finished));
    return (await axe.run(document, {resultTypes: ["violations"]})).violations;
}
"""


@cache
def _script() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text()


def findings(page: Page) -> list[str]:
    """The serious and critical findings on the page as it is now, a line for each element."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_script())  # by the debugger, which a Content Security Policy does not bind
    violations: list[dict[str, Any]] = page.evaluate(_RUN)
    return [
        f"{rule['impact']}: {rule['id']} ({rule['help']}) at {' '.join(map(str, node['target']))}"
        for rule in violations
        if rule["impact"] in _GRAVE
        for node in rule["nodes"]
    ]


def looks(page: Page) -> Iterator[str]:
    """Show the page in each colour scheme and width in turn; yields the look's name, for messages."""
    for scheme in SCHEMES:
        for width in WIDTHS:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": 1000})
            yield f"{scheme} {width}"


def findings_in_every_look(page: Page) -> dict[str, list[str]]:
    """`findings` of each look that has some; `{}` is what a test wants."""
    found = {look: findings(page) for look in looks(page)}
    return {look: lines for look, lines in found.items() if lines}
