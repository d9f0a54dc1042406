"""Months of billing: by the calendar of UTC, each named by its first day."""

from datetime import UTC, date, datetime


def month_of(moment: datetime) -> date:
    """The month that a moment falls into."""
    return moment.astimezone(UTC).date().replace(day=1)


def following(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def begin(month: date) -> datetime:
    """The month's first moment."""
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def last(count: int, until: date) -> list[date]:
    """`count` months, the last of which is `until`."""
    months = [until]
    while len(months) < count:
        first = months[0]
        months.insert(0, date(first.year - (first.month == 1), (first.month - 2) % 12 + 1, 1))
    return months
