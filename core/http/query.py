"""Parameters of the query string, and pages."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from core import codec
from core.http.errors import invalid_parameter

PER_PAGE = 50
MOST_PER_PAGE = 1_000
_MOST_DIGITS = 11
"""Longer integers are refused before they are converted."""


def check_names(request: HttpRequest, known: Collection[str]) -> None:
    """Raises 400 `invalid_parameter` for a parameter that is not `known` (contract, part two) or comes twice.

    Of two values an answer could follow only one, and the client would not learn which.
    """
    for name, values in request.GET.lists():
        if name not in known:
            names = f"known here: {', '.join(sorted(known))}" if known else "there are none here"
            raise invalid_parameter(name, f"is an unknown query parameter; {names}")
        if len(values) > 1:
            raise invalid_parameter(name, "is given more than once")


@dataclass(frozen=True)
class Page:
    """Which page is asked for, from 1, and how many entries a page has."""

    number: int
    per_page: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.per_page

    @property
    def slice(self) -> slice:
        return slice(self.offset, self.offset + self.per_page)

    def describe(self, total: int) -> dict[str, Any]:
        """The `pagination` object, for `total` entries on all pages."""
        pages = -(-total // self.per_page)
        return {"page": self.number, "per_page": self.per_page, "total": total, "total_pages": pages}


def page_of(request: HttpRequest) -> Page:
    """`page` (from 1) and `per_page` (50; 1,000 at most). Raises 400 `invalid_parameter`."""
    return Page(
        _integer(request, "page", default=1, most=1_000_000_000),
        _integer(request, "per_page", default=PER_PAGE, most=MOST_PER_PAGE),
    )


def _integer(request: HttpRequest, name: str, *, default: int, most: int) -> int:
    given = request.GET.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS and 1 <= int(given) <= most):
        raise invalid_parameter(name, f"must be a whole number from 1 to {most:,}")
    return int(given)


def boolean(request: HttpRequest, name: str) -> bool | None:
    """`true` or `false`, None if absent. Raises 400 `invalid_parameter`."""
    given = request.GET.get(name)
    if given is None:
        return None
    if given not in {"true", "false"}:
        raise invalid_parameter(name, "must be true or false")
    return given == "true"


def choice(request: HttpRequest, name: str, allowed: Collection[str]) -> str | None:
    """One of the allowed words, None if absent. Raises 400 `invalid_parameter`."""
    given = request.GET.get(name)
    if given is not None and given not in allowed:
        raise invalid_parameter(name, f"must be one of {', '.join(allowed)}")
    return given


def moment(request: HttpRequest, name: str) -> datetime | None:
    """An ISO 8601 date and time (no offset: UTC), None if absent. Raises 400 `invalid_parameter`."""
    given = request.GET.get(name)
    if given is None:
        return None
    try:
        return codec.read_moment(given)
    except ValueError as exc:
        raise invalid_parameter(name, f"{exc} (the + of an offset is sent as %2B)") from exc
