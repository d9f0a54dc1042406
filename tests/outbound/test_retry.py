"""When a question is asked again."""

from datetime import UTC, datetime

import pytest

from core.outbound import backoff, retry_after


@pytest.mark.parametrize(
    ("tried", "least", "most"), [(1, 0.1, 0.2), (2, 0.2, 0.4), (4, 0.8, 1.6), (9, 2.5, 5), (99, 2.5, 5)]
)
def test_pauses_double_up_to_a_cap_and_half_of_each_is_jitter(tried: int, least: float, most: float) -> None:
    assert backoff(tried, lambda low, _: low) == pytest.approx(least)
    assert backoff(tried, lambda _, high: high) == pytest.approx(most)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("٧", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, datetime(2026, 11, 22, 12, tzinfo=UTC)) == seconds
