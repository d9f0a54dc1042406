"""Where a number's holder may be: all zones, and the likeliest first."""

from zoneinfo import available_timezones

import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from phonenumbers import timezone as theirs

from contacts import phone
from contacts.carriers import offline, zones
from tests import numbers


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+14155551234", ("America/Los_Angeles",)),
        ("+17014012345", ("America/North_Dakota/Center", "America/Denver")),
        ("+19072012345", ("America/Anchorage", "America/Adak")),
        ("+12083012345", ("America/Boise", "America/Los_Angeles")),
        ("+18762101234", ("America/Jamaica",)),  # mobile and nothing else, and tied to its area code
        ("+34612345678", ("Europe/Madrid", "Atlantic/Canary")),
        ("+64211234567", ("Pacific/Auckland", "Pacific/Chatham")),
        ("+447400123456", ("Europe/London",)),
        ("+8613912345678", ("Asia/Shanghai",)),
        ("+80012345678", ()),  # the world's
        ("+14155551", ()),  # no number
        ("hello", ()),
    ],
)
def test_the_zones_of_a_number(number: str, expected: tuple[str, ...]) -> None:
    assert zones.of_e164(number) == expected


@pytest.mark.parametrize(
    ("number", "likeliest", "among", "not_among"),
    [
        ("+61412345678", "Australia/Sydney", {"Australia/Perth", "Australia/Adelaide"}, {"Indian/Christmas"}),
        ("+79161234567", "Europe/Moscow", {"Asia/Kamchatka", "Europe/Kaliningrad"}, {"Asia/Almaty"}),
        ("+77011234567", "Asia/Almaty", {"Asia/Aqtobe"}, {"Europe/Moscow"}),
        ("+15005550123", "America/New_York", {"Pacific/Honolulu", "America/Adak"}, {"America/Jamaica"}),
        ("+18005551234", "America/New_York", {"Pacific/Honolulu"}, {"Pacific/Guam"}),
    ],
)
def test_a_number_that_is_tied_to_no_place_has_all_zones_of_its_country(
    number: str, likeliest: str, among: set[str], not_among: set[str]
) -> None:
    found = zones.of_e164(number)
    assert found[0] == likeliest
    assert among <= set(found)
    assert not not_among & set(found)


def test_the_time_zone_that_the_api_shows_is_the_likeliest() -> None:
    for text in ("+19072012345", "+12083012345", "+18762101234", "+61412345678", "+79161234567"):
        number = phone.parse(text)
        assert number
        assert offline.look_up(number).time_zone == offline.time_zone(number) == zones.of_e164(text)[0]


def test_of_every_other_number_they_are_those_that_phonenumbers_names() -> None:
    compared = 0
    for text in numbers.examples():
        number = numbers.parsed(text)
        if number is None or number.country_code is None:
            continue
        named = set(theirs.time_zones_for_number(number)) - {theirs.UNKNOWN_TIMEZONE}
        if number.country_code == 1 or len(COUNTRY_CODE_TO_REGION_CODE[number.country_code]) > 1:
            assert bool(zones.of_e164(text)) == bool(named), text
            continue
        assert set(zones.of_e164(text)) == named, text
        compared += 1
    assert compared > 800


@pytest.mark.parametrize(
    ("area", "likeliest"), [("701", "America/North_Dakota/Center"), ("907", "America/Anchorage")]
)
def test_no_exchange_is_given_the_alphabets_first_zone(area: str, likeliest: str) -> None:
    found = [zones.of_e164(f"+1{area}{exchange}0123") for exchange in range(200, 1000)]
    several = [names for names in found if len(names) > 1]
    assert len(several) > 100
    assert {names[0] for names in several} == {likeliest}


def test_every_name_is_a_time_zone() -> None:
    named = {name for text in numbers.examples() for name in zones.of_e164(text)}
    assert len(named) > 200
    assert named <= available_timezones()
