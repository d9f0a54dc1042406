"""Phone numbers: E.164 (ITU-T E.164: `+`, no leading zero, at most 15 digits) and phonenumbers' metadata.

phonenumbers reads and checks a number in 50 µs, and in ten times that where numbers are of many countries,
because it compiles their patterns again and again. The same metadata, made into one pattern for each calling
code and length, answers in 2 µs (`python -m tests.benchmarks.numbers` compares them).
"""

import re
from functools import cache, lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberDesc, PhoneNumberFormat, PhoneNumberType

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_CALLING_CODES = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
_NOTHING = "(?!)"  # the pattern that nothing matches

_SPECIAL = (
    "PREMIUM_RATE",
    "TOLL_FREE",
    "SHARED_COST",
    "VOIP",
    "PERSONAL_NUMBER",
    "PAGER",
    "UAN",
    "VOICEMAIL",
)
_TYPES: dict[str, int] = {
    name: getattr(PhoneNumberType, name)
    for name in (*_SPECIAL, "FIXED_LINE_OR_MOBILE", "FIXED_LINE", "MOBILE")
}


class Number(NamedTuple):
    """A valid number."""

    e164: str
    calling_code: str
    type: int
    """PhoneNumberType."""
    region: str
    """ISO 3166-1, two letters: the country; 001 where it is tied to none."""


@lru_cache(maxsize=1024)  # of lists' numbers, which come again and again
def is_e164(text: str) -> bool:
    """Whether `text` has E.164's form. ASCII digits only, no spaces, no punctuation."""
    return _E164.fullmatch(text) is not None


def parse(text: str) -> Number | None:
    """The number that `text` writes in E.164, or None if the metadata knows no such number.

    A number that would be written otherwise than `text` is None too (`+4402079460958` holds Britain's trunk
    zero): one subscriber must not become two contacts.
    """
    code = _calling_code(text) if _E164.fullmatch(text) else ""
    if not code:
        return None
    national = text[1 + len(code) :]
    plan = _plan(code, len(national))
    found = plan.numbers.fullmatch(national)
    if found is None:
        return None
    prefix = plan.prefix.match(national)
    if prefix is not None and (prefix.end() or prefix.lastindex) and not _is_read_as_written(text):
        return None
    group = found.lastgroup
    return Number(text, code, plan.types[group], group.rpartition("_")[2] if group else "")


def _calling_code(text: str) -> str:
    """The digits of the calling code of a number in E.164; empty: no such code is assigned."""
    for end in (2, 3, 4):  # no code is the beginning of another
        if text[1:end] in _CALLING_CODES:
            return text[1:end]
    return ""


def _is_read_as_written(text: str) -> bool:
    """Whether phonenumbers takes none of the first digits for a prefix that is not part of the number."""
    return phonenumbers.format_number(phonenumbers.parse(text), PhoneNumberFormat.E164) == text


class _Plan(NamedTuple):
    """The valid national numbers of a calling code that have a certain length."""

    numbers: re.Pattern[str]
    """Matches them; the group that matched is named by type and region."""
    types: dict[str | None, int]
    """PhoneNumberType by the group's name."""
    prefix: re.Pattern[str]
    """Matches the beginning of those that `phonenumbers.parse` may shorten or change."""


@cache
def _plan(calling_code: str, length: int) -> _Plan:
    """Made in the order in which phonenumbers asks: the first region whose number it is, the first type."""
    code = int(calling_code)
    regions = [
        metadata
        for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
        if (metadata := PhoneMetadata.metadata_for_region_or_calling_code(code, region))
    ]
    numbers = _NOTHING
    for region in reversed(regions):
        first, own = region.leading_digits, _by_type(region, length)
        if first is None or len(regions) == 1:
            numbers = f"{own}|{numbers}"
        else:  # whose number it is they say alone, be it valid there or not
            numbers = f"(?={first})(?:{own})|(?!{first})(?:{numbers})"
    pattern = re.compile(numbers)
    types: dict[str | None, int] = {name: _TYPES[name.rpartition("_")[0]] for name in pattern.groupindex}
    return _Plan(pattern, types, re.compile(regions[0].national_prefix_for_parsing or _NOTHING))


def _by_type(region: PhoneMetadata, length: int) -> str:
    """The pattern of a region's numbers of `length` digits, a group for each type."""
    fixed, mobile = _pattern(region.fixed_line, length), _pattern(region.mobile, length)
    alike = region.same_mobile_and_fixed_line_pattern
    patterns = {
        **{name: _pattern(getattr(region, name.lower()), length) for name in _SPECIAL},
        "FIXED_LINE_OR_MOBILE": fixed if alike else rf"(?={mobile}\Z){fixed}",
        "FIXED_LINE": fixed,
        "MOBILE": _NOTHING if alike else mobile,
    }
    groups = [f"(?P<{name}_{region.id}>{it})" for name, it in patterns.items() if _NOTHING not in it]
    return rf"(?={_pattern(region.general_desc, length)}\Z)(?:{'|'.join(groups) or _NOTHING})"


def _pattern(described: PhoneNumberDesc | None, length: int) -> str:
    """The pattern of the described numbers, if some have `length` digits."""
    if described is None or not described.national_number_pattern:
        return _NOTHING
    if described.possible_length and length not in described.possible_length:
        return _NOTHING
    return f"(?:{described.national_number_pattern})"
