"""Waits and quiet hours, above all where the clocks change.

New York: forward on 2026-03-08 at 02:00, back on 2026-11-01 at 02:00. London: forward on 2026-03-29 at 01:00,
back on 2026-10-25 at 02:00. Phoenix never.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest

from journeys import clock
from journeys.clock import QuietHours, wait_ends
from journeys.steps import Wait, WaitUntil

NEW_YORK, LONDON, PHOENIX = "America/New_York", "Europe/London", "America/Phoenix"
Unit = Literal["minutes", "hours", "days"]
NIGHT = QuietHours(time(21), time(8))
NOON = QuietHours(time(12), time(13))


def moment(text: str) -> datetime:
    """An ISO time with an offset, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.fixture
def fallback(settings: Any) -> Iterator[Any]:
    clock.zone.cache_clear()
    settings.TRACKLY_TIME_ZONE = "Asia/Tokyo"
    yield settings
    clock.zone.cache_clear()


@pytest.mark.parametrize(
    ("where", "amount", "begins", "ends"),
    [
        (NEW_YORK, 1, "2026-03-07T10:00-05:00", "2026-03-08T10:00-04:00"),
        (NEW_YORK, 1, "2026-03-08T10:00-04:00", "2026-03-09T10:00-04:00"),
        (NEW_YORK, 1, "2026-03-07T01:59:59-05:00", "2026-03-08T01:59:59-05:00"),
        (NEW_YORK, 1, "2026-03-07T02:30-05:00", "2026-03-08T03:30-04:00"),
        (NEW_YORK, 2, "2026-03-07T02:30-05:00", "2026-03-09T02:30-04:00"),
        (NEW_YORK, 30, "2026-02-10T18:00-05:00", "2026-03-12T18:00-04:00"),
        (NEW_YORK, 1, "2026-10-31T10:00-04:00", "2026-11-01T10:00-05:00"),
        (NEW_YORK, 1, "2026-10-31T01:30-04:00", "2026-11-01T01:30-04:00"),
        (NEW_YORK, 1, "2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"),
        (NEW_YORK, 1, "2026-11-01T01:30-05:00", "2026-11-02T01:30-05:00"),
        (NEW_YORK, 7, "2026-10-31T23:45:10.5-04:00", "2026-11-07T23:45:10.5-05:00"),
        (NEW_YORK, 1, "2026-11-01T02:00+00:00", "2026-11-01T22:00-05:00"),
        (LONDON, 1, "2026-03-28T09:00+00:00", "2026-03-29T09:00+01:00"),
        (LONDON, 1, "2026-03-28T01:30+00:00", "2026-03-29T02:30+01:00"),
        (LONDON, 1, "2026-10-24T09:00+01:00", "2026-10-25T09:00+00:00"),
        (LONDON, 1, "2026-10-24T01:30+01:00", "2026-10-25T01:30+01:00"),
        (PHOENIX, 1, "2026-03-07T10:00-07:00", "2026-03-08T10:00-07:00"),
        (PHOENIX, 1, "2026-10-31T02:30-07:00", "2026-11-01T02:30-07:00"),
    ],
)
def test_a_wait_of_days_keeps_the_time_of_day(where: str, amount: int, begins: str, ends: str) -> None:
    found = wait_ends(Wait("w", amount, "days"), moment(begins), ZoneInfo(where))
    assert (found, found.tzinfo) == (moment(ends), UTC)


@pytest.mark.parametrize("where", [NEW_YORK, LONDON, PHOENIX])
@pytest.mark.parametrize(
    "begins",
    ["2026-03-08T06:30Z", "2026-11-01T05:30Z", "2026-03-29T00:30Z", "2026-10-25T00:30Z", "2026-06-01T12:00Z"],
)
@pytest.mark.parametrize(
    ("amount", "unit", "length"),
    [
        (1, "minutes", timedelta(minutes=1)),
        (90, "minutes", timedelta(minutes=90)),
        (1, "hours", timedelta(hours=1)),
        (24, "hours", timedelta(hours=24)),
    ],
)
def test_hours_and_minutes_pass_whatever_the_clocks_say(
    where: str, begins: str, amount: int, unit: Unit, length: timedelta
) -> None:
    local = moment(begins).astimezone(ZoneInfo(where))
    found = wait_ends(Wait("w", amount, unit), local, ZoneInfo(where))
    assert (found, found.tzinfo) == (moment(begins) + length, UTC)


@pytest.mark.parametrize(
    ("where", "at", "begins", "ends"),
    [
        (PHOENIX, "10:00", "2026-06-01T09:59:59.999999-07:00", "2026-06-01T10:00-07:00"),
        (PHOENIX, "10:00", "2026-06-01T10:00-07:00", "2026-06-02T10:00-07:00"),
        (PHOENIX, "10:00", "2026-06-01T10:00:01-07:00", "2026-06-02T10:00-07:00"),
        (PHOENIX, "00:00", "2026-12-31T12:00-07:00", "2027-01-01T00:00-07:00"),
        (PHOENIX, "00:00", "2026-06-01T00:00-07:00", "2026-06-02T00:00-07:00"),
        (PHOENIX, "02:30", "2026-03-08T00:00-07:00", "2026-03-08T02:30-07:00"),
        # Where it is another day than in UTC.
        (PHOENIX, "18:00", "2026-06-02T00:30+00:00", "2026-06-01T18:00-07:00"),
        # Over the change.
        (NEW_YORK, "09:00", "2026-03-07T09:00-05:00", "2026-03-08T09:00-04:00"),
        (NEW_YORK, "09:00", "2026-10-31T09:00-04:00", "2026-11-01T09:00-05:00"),
        (LONDON, "09:00", "2026-03-28T09:00+00:00", "2026-03-29T09:00+01:00"),
        (LONDON, "09:00", "2026-10-24T09:00+01:00", "2026-10-25T09:00+00:00"),
        # A time that is skipped: after the skip, and on the next day as ever.
        (NEW_YORK, "02:30", "2026-03-07T12:00-05:00", "2026-03-08T03:30-04:00"),
        (NEW_YORK, "02:30", "2026-03-08T03:00-04:00", "2026-03-08T03:30-04:00"),
        (NEW_YORK, "02:30", "2026-03-08T03:30-04:00", "2026-03-09T02:30-04:00"),
        (NEW_YORK, "02:00", "2026-03-08T01:00-05:00", "2026-03-08T03:00-04:00"),
        (LONDON, "01:30", "2026-03-28T12:00+00:00", "2026-03-29T02:30+01:00"),
        (LONDON, "01:30", "2026-03-29T02:30+01:00", "2026-03-30T01:30+01:00"),
        # A time that there is twice: the first.
        (NEW_YORK, "01:30", "2026-10-31T12:00-04:00", "2026-11-01T01:30-04:00"),
        (NEW_YORK, "01:30", "2026-11-01T01:00-04:00", "2026-11-01T01:30-04:00"),
        (NEW_YORK, "01:30", "2026-11-01T01:30-05:00", "2026-11-02T01:30-05:00"),
        (LONDON, "01:30", "2026-10-24T12:00+01:00", "2026-10-25T01:30+01:00"),
        (LONDON, "01:30", "2026-10-25T01:45+00:00", "2026-10-26T01:30+00:00"),
    ],
)
def test_wait_until_is_the_next_time_that_the_contacts_clock_says_so(
    where: str, at: str, begins: str, ends: str
) -> None:
    found = wait_ends(WaitUntil("u", at), moment(begins), ZoneInfo(where))
    assert (found, found.tzinfo) == (moment(ends), UTC)


@pytest.mark.parametrize("where", [NEW_YORK, LONDON, PHOENIX])
@pytest.mark.parametrize("day", ["2026-03-08", "2026-11-01", "2026-03-29", "2026-10-25"])
def test_a_wait_is_over_later_than_it_began_and_within_two_days(where: str, day: str) -> None:
    begin = moment(f"{day}T00:00Z") - timedelta(days=1)
    for now in (begin + timedelta(minutes=30 * step) for step in range(3 * 48)):
        for half_hours in range(48):
            at = f"{half_hours // 2:02}:{half_hours % 2 * 30:02}"
            assert now < wait_ends(WaitUntil("u", at), now, ZoneInfo(where)) <= now + timedelta(days=2)


@pytest.mark.parametrize(
    ("hours", "at", "ends"),
    [
        (NIGHT, "2026-06-01T20:59:59.999999", None),
        (NIGHT, "2026-06-01T21:00", "2026-06-02T08:00"),
        (NIGHT, "2026-06-01T23:59:59.999999", "2026-06-02T08:00"),
        (NIGHT, "2026-06-02T00:00", "2026-06-02T08:00"),
        (NIGHT, "2026-06-02T07:59:59.999999", "2026-06-02T08:00"),
        (NIGHT, "2026-06-02T08:00", None),
        (NIGHT, "2026-06-02T12:00", None),
        (NOON, "2026-06-01T11:59:59.999999", None),
        (NOON, "2026-06-01T12:00", "2026-06-01T13:00"),
        (NOON, "2026-06-01T12:59:59.999999", "2026-06-01T13:00"),
        (NOON, "2026-06-01T13:00", None),
        (NOON, "2026-06-01T23:00", None),
        (QuietHours(time(22), time(0)), "2026-06-01T23:59", "2026-06-02T00:00"),
        (QuietHours(time(22), time(0)), "2026-06-02T00:00", None),
        (QuietHours(time(0), time(6)), "2026-06-02T00:00", "2026-06-02T06:00"),
        (QuietHours(time(0), time(6)), "2026-06-01T23:59", None),
    ],
)
@pytest.mark.parametrize("where", [NEW_YORK, LONDON, PHOENIX])
def test_quiet_hours_begin_with_their_start_and_are_over_at_their_end(
    where: str, hours: QuietHours, at: str, ends: str | None
) -> None:
    zone = ZoneInfo(where)
    found = hours.until(datetime.fromisoformat(at).replace(tzinfo=zone).astimezone(UTC), zone)
    assert found == (datetime.fromisoformat(ends).replace(tzinfo=zone).astimezone(UTC) if ends else None)
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("where", "at", "ends"),
    [
        (NEW_YORK, "2026-03-07T21:00-05:00", "2026-03-08T08:00-04:00"),
        (NEW_YORK, "2026-03-08T03:00-04:00", "2026-03-08T08:00-04:00"),
        (NEW_YORK, "2026-10-31T21:00-04:00", "2026-11-01T08:00-05:00"),
        (NEW_YORK, "2026-11-01T01:30-04:00", "2026-11-01T08:00-05:00"),
        (NEW_YORK, "2026-11-01T01:30-05:00", "2026-11-01T08:00-05:00"),
        (LONDON, "2026-03-28T22:00+00:00", "2026-03-29T08:00+01:00"),
        (LONDON, "2026-10-24T22:00+01:00", "2026-10-25T08:00+00:00"),
        (PHOENIX, "2026-03-07T22:00-07:00", "2026-03-08T08:00-07:00"),
        (PHOENIX, "2026-10-31T22:00-07:00", "2026-11-01T08:00-07:00"),
    ],
)
def test_quiet_hours_last_into_a_change_of_the_clocks(where: str, at: str, ends: str) -> None:
    assert NIGHT.until(moment(at), ZoneInfo(where)) == moment(ends)


@pytest.mark.parametrize("where", [NEW_YORK, LONDON, PHOENIX])
@pytest.mark.parametrize("day", ["2026-03-08", "2026-11-01", "2026-03-29", "2026-10-25"])
def test_quiet_hours_end_at_the_first_moment_that_is_not_quiet(where: str, day: str) -> None:
    zone, begin = ZoneInfo(where), moment(f"{day}T00:00Z") - timedelta(days=1)
    moments = [begin + timedelta(minutes=30 * step) for step in range(4 * 48)]
    for hours, quiet in ((NIGHT, {*range(21, 24), *range(8)}), (NOON, {12})):
        loud = [now for now in moments if now.astimezone(zone).hour not in quiet]
        for now in moments[: 3 * 48]:
            expected = next(later for later in loud if later >= now)
            assert (hours.until(now, zone) or now) == expected


def test_hours_that_end_when_they_start_are_never_quiet() -> None:
    hours = QuietHours(time(9), time(9))
    assert {hours.until(moment(f"2026-06-01T{hour:02}:00Z"), ZoneInfo("UTC")) for hour in range(24)} == {None}


def test_a_contacts_zone_is_his() -> None:
    assert clock.zone(PHOENIX).key == PHOENIX


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "America/Gotham",
        "america/new_york2",
        "Europe",
        "America/New_York/x",
        "../../etc/passwd",
        "/etc/passwd",
        "a\x00b",
        "\ud800",
        "x" * 5000,
        "zone.tab",
        "tzdata.zi",
    ],
)
def test_a_zone_that_is_not_known_is_the_settings(name: str, fallback: Any) -> None:
    assert clock.zone(name).key == "Asia/Tokyo"


def test_quiet_hours_are_as_the_settings_have_them(settings: Any) -> None:
    settings.TRACKLY_QUIET_HOURS = (time(22, 30), time(7))
    assert clock.quiet_hours() == QuietHours(time(22, 30), time(7))
    settings.TRACKLY_QUIET_HOURS = ()
    assert clock.quiet_hours() is None


def test_an_end_of_quiet_hours_that_is_there_twice_is_the_next_one() -> None:
    quiet = QuietHours(time(21), time(1, 30))
    second = datetime(2026, 11, 1, 6, 15, tzinfo=UTC)  # 1:15 for the second time
    assert quiet.until(second, ZoneInfo("America/New_York")) == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


def at(text: str, where: str) -> datetime:
    """A moment by that zone's clock, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(where)).astimezone(UTC)


@pytest.mark.parametrize(
    ("number", "now", "ends"),
    [
        # Jamaica, whose mobile numbers phonenumbers gives all zones from Adak to St John's.
        (
            "+18762101234",
            at("2026-06-15T23:30", "America/Jamaica"),
            at("2026-06-16T08:00", "America/Jamaica"),
        ),
        ("+18762101234", at("2026-06-15T20:59", "America/Jamaica"), None),
        # An Australian mobile number may be Perth's, or Lord Howe Island's.
        (
            "+61412345678",
            at("2026-06-15T06:00", "Australia/Perth"),
            at("2026-06-15T08:00", "Australia/Perth"),
        ),
        (
            "+61412345678",
            at("2026-06-15T20:45", "Australia/Sydney"),
            at("2026-06-16T08:00", "Australia/Perth"),
        ),
        ("+61412345678", at("2026-06-15T12:00", "Australia/Sydney"), None),
        # 701: North Dakota is Chicago's time in the east, Denver's in the west.
        ("+17014012345", at("2026-06-15T07:30", "America/Denver"), at("2026-06-15T08:00", "America/Denver")),
        ("+17014012345", at("2026-06-15T20:30", "America/Denver"), at("2026-06-16T08:00", "America/Denver")),
        # 907: Alaska, and the Aleutians an hour behind.
        ("+19072012345", at("2026-06-15T08:30", "America/Anchorage"), at("2026-06-15T08:00", "America/Adak")),
        ("+19072012345", at("2026-06-15T21:10", "America/Anchorage"), at("2026-06-16T08:00", "America/Adak")),
        # 208: Idaho.
        (
            "+12083012345",
            at("2026-06-15T08:30", "America/Boise"),
            at("2026-06-15T08:00", "America/Los_Angeles"),
        ),
        (
            "+12083012345",
            at("2026-06-15T20:30", "America/Los_Angeles"),
            at("2026-06-16T08:00", "America/Los_Angeles"),
        ),
        # Russia: 08:00 in Kaliningrad is 06:00 UTC, 21:00 in Kamchatka 09:00.
        ("+79161234567", datetime(2026, 6, 15, 5, 59, tzinfo=UTC), datetime(2026, 6, 15, 6, tzinfo=UTC)),
        ("+79161234567", datetime(2026, 6, 15, 6, tzinfo=UTC), None),
        ("+79161234567", datetime(2026, 6, 15, 9, tzinfo=UTC), datetime(2026, 6, 16, 6, tzinfo=UTC)),
        # The United States, from Hawaii's morning to New York's evening.
        (
            "+15005550123",
            at("2026-06-15T07:59", "Pacific/Honolulu"),
            at("2026-06-15T08:00", "Pacific/Honolulu"),
        ),
        ("+15005550123", at("2026-06-15T20:59", "America/New_York"), None),
        (
            "+15005550123",
            at("2026-06-15T21:00", "America/New_York"),
            at("2026-06-16T08:00", "Pacific/Honolulu"),
        ),
        # A number of the whole world, of which nothing is known: TRACKLY_TIME_ZONE.
        ("+80012345678", at("2026-06-15T22:00", NEW_YORK), at("2026-06-16T08:00", NEW_YORK)),
        ("+80012345678", at("2026-06-15T20:00", NEW_YORK), None),
    ],
)
def test_it_is_quiet_where_it_may_be_quiet(number: str, now: datetime, ends: datetime | None) -> None:
    assert NIGHT.until(now, clock.zones(number, "")) == ends


def test_zones_that_leave_no_hour_are_left_out_the_least_likely_first() -> None:
    """In New York and London it is day from 12:00 to 20:00 UTC; Tokyo's ends at 12:00."""
    likely = tuple(map(ZoneInfo, (NEW_YORK, LONDON, "Asia/Tokyo", PHOENIX)))
    without = likely[0], likely[1], likely[3]
    begin = moment("2026-06-15T00:00Z")
    ends = set()
    for now in (begin + timedelta(minutes=30 * step) for step in range(96)):
        ends.add(NIGHT.until(now, likely))
        assert NIGHT.until(now, likely) == NIGHT.until(now, without)
    assert ends == {None, *(moment(f"2026-06-{day}T15:00Z") for day in (15, 16, 17))}  # in Phoenix


def test_the_likeliest_zone_counts_however_short_its_day_is() -> None:
    quiet = QuietHours(time(9), time(8, 30))
    both = ZoneInfo(PHOENIX), ZoneInfo(NEW_YORK)
    assert quiet.until(at("2026-06-15T12:00", PHOENIX), both) == at("2026-06-16T08:30", PHOENIX)


@pytest.mark.parametrize(
    "day", ["2026-03-08", "2026-11-01", "2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04"]
)
@pytest.mark.parametrize(
    "names",
    [
        (NEW_YORK, PHOENIX),
        ("America/Boise", "America/Los_Angeles"),
        ("Australia/Sydney", "Australia/Brisbane", "Australia/Perth", "Australia/Lord_Howe"),
        ("Europe/Madrid", "Atlantic/Canary"),
        (LONDON, NEW_YORK),
        ("America/Anchorage", "America/Adak"),
    ],
)
def test_of_several_zones_the_end_is_the_first_moment_that_is_quiet_in_none(
    day: str, names: tuple[str, ...]
) -> None:
    where, begin = tuple(map(ZoneInfo, names)), moment(f"{day}T00:00Z") - timedelta(days=1)
    moments = [begin + timedelta(minutes=30 * step) for step in range(5 * 48)]
    loud = [now for now in moments if not any(NIGHT.until(now, zone) for zone in where)]
    for now in moments[: 3 * 48]:
        ends = NIGHT.until(now, where)
        assert (ends or now) == next(later for later in loud if later >= now)
        assert ends is None or ends.tzinfo is UTC
