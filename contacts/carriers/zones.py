"""In which time zones a number's holder may be, by phonenumbers' metadata; the likeliest first.

A range of numbers may span several zones, and a number that is tied to no place (a mobile one, in most
countries) has all of its country's. Whatever must not happen at night counts all of them; what needs one zone
(the API's `timezone`, "wait until 9:00") takes the first.
"""

from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, is_number_type_geographical
from phonenumbers.tzdata import TIMEZONE_DATA

from contacts import phone
from contacts.phone import Number

_BY_AREA_CODE = "1"
"""North America's calling code: whatever type a number is of, its area code says where it was given out.

phonenumbers takes those that are mobile and nothing else (Jamaica's, say) for tied to no place.
"""
_LIKELIEST = (
    # Of each set of zones that a range or a country has, the one where more people live comes first here.
    *("America/New_York", "America/Chicago", "America/Boise", "America/Los_Angeles", "America/Phoenix"),
    *("America/North_Dakota/Center", "America/Denver", "America/Anchorage", "America/Puerto_Rico"),
    *("America/Toronto", "America/Vancouver", "America/Edmonton", "America/Winnipeg", "America/St_Johns"),
    *("America/Mexico_City", "America/Sao_Paulo", "America/Manaus", "America/Guayaquil"),
    *("America/Curacao", "America/Godthab", "Europe/London", "Europe/Lisbon", "Europe/Madrid"),
    *("Europe/Rome", "Europe/Oslo", "Europe/Helsinki", "Europe/Moscow", "Asia/Yekaterinburg"),
    *("Asia/Novosibirsk", "Asia/Almaty", "Asia/Jakarta", "Asia/Makassar", "Asia/Ulaanbaatar"),
    *("Africa/Kinshasa", "Indian/Reunion", "Australia/Sydney", "Australia/Brisbane"),
    *("Australia/Perth", "Australia/Adelaide", "Pacific/Auckland", "Pacific/Tahiti", "Pacific/Tarawa"),
    *("Pacific/Truk", "Pacific/Ponape"),
)
_RANK = {name: rank for rank, name in enumerate(_LIKELIEST)}


@lru_cache(maxsize=65_536)
def of_e164(phone_number: str) -> tuple[str, ...]:
    """The same of a number in E.164; empty also where the metadata no longer knows it."""
    number = phone.parse(phone_number)
    return of(number) if number else ()


def of(number: Number) -> tuple[str, ...]:
    """The IANA names of all zones in which a number's holder may be, the likeliest first; empty: unknown."""
    code = number.calling_code
    is_tied = code == _BY_AREA_CODE or _is_tied(number.type, code)
    digits = number.e164[1:] if is_tied else code
    for length in _prefixes(code):
        prefix = digits[:length]
        if zones := TIMEZONE_DATA.get(prefix):
            shared = prefix == code and len(COUNTRY_CODE_TO_REGION_CODE[int(code)]) > 1
            return _ranked(zones, number.region if shared else "")
    return ()


@cache
def _ranked(zones: tuple[str, ...], region: str) -> tuple[str, ...]:
    """The likeliest first. `region`: of all zones of a calling code that countries share, this one's own."""
    zones = _of_regions().get(region, zones)
    order = {zone: place for place, zone in enumerate(zones)}
    return tuple(sorted(zones, key=lambda zone: (_RANK.get(zone, len(_RANK)), order[zone])))


@cache
def _of_regions() -> dict[str, tuple[str, ...]]:
    """The zones of each country (ISO 3166-1), by the tz database's zone.tab."""
    found: dict[str, tuple[str, ...]] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text().splitlines():
        if not line.startswith("#"):
            region, _, zone = line.split("\t")[:3]
            found[region] = (*found.get(region, ()), zone)
    return found


@cache
def _is_tied(number_type: int, calling_code: str) -> bool:
    """Whether numbers of the type belong to a place."""
    return is_number_type_geographical(number_type, int(calling_code))


@cache
def _prefixes(calling_code: str) -> list[int]:
    return lengths(TIMEZONE_DATA, calling_code)


def lengths(prefixes: Iterable[str], calling_code: str) -> list[int]:
    """How long the prefixes of a calling code are: of a dozen lengths that there are, one to five."""
    return sorted({len(prefix) for prefix in prefixes if prefix.startswith(calling_code)}, reverse=True)
