"""Texts of every kind where a phone number should be, and what phonenumbers itself says of them."""

import random
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import phonenumbers
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    PhoneMetadata,
    PhoneNumberDesc,
    PhoneNumberFormat,
    carrier,
)
from phonenumbers.carrierdata import CARRIER_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

from contacts import phone
from contacts.carriers import offline

UNKNOWN = phonenumbers.PhoneNumberType.UNKNOWN

ODD = [
    *("", "+", "++", "+1", "+12", "+123", "+0", "+00", "00", "0014155559876", "14155559876", "4155559876"),
    *("+ 14155559876", "+1 415 555 9876", "+1-415-555-9876", "+1(415)5559876", "+1.415.555.9876"),
    *(" +14155559876", "+14155559876 ", "\n+14155559876", "+14155559876\n", "+1415555987\x00"),
    *("tel:+14155559876", "+14155559876;ext=5", "+14155559876 x5", "+14155559876#5", "+14155559876,5"),
    *("+14155559876;phone-context=+1", "+14155559876/+14155559877", "+1415555SHOP", "+1415555987x"),
    *(
        "+1415555987६",
        "+１４１５５５５９８７６",
        "＋14155559876",
        "+٣٣١٢٣٤٥٦٧٨",
        "+1415555987²",
        "+141555598\ud800",
    ),
    *("++14155559876", "+04155559876", "+11155559876", "+4402079460958", "+390612345678", "+39612345678"),
    *("+9991234567", "+4900000000", "+39000000000", "+" + "1" * 15, "+" + "1" * 16, "+" + "9" * 251),
]


class Said(NamedTuple):
    """What is to be the same."""

    number_type: int
    carrier: str = ""


def parsed(text: str) -> phonenumbers.PhoneNumber | None:
    """What the product means by a valid number: valid, and written in E.164 in no other way."""
    if re.fullmatch(r"\+[1-9][0-9]{1,14}", text) is None:
        return None
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return number if phonenumbers.format_number(number, PhoneNumberFormat.E164) == text else None


def facts_of(number: phonenumbers.PhoneNumber) -> Said:
    """What phonenumbers says of a valid number."""
    return Said(phonenumbers.number_type(number), carrier.name_for_valid_number(number, "en"))


def by_phonenumbers(text: str) -> Said:
    """What is right."""
    number = parsed(text)
    return facts_of(number) if number else Said(UNKNOWN)


def by_us(text: str) -> Said:
    """What the product says."""
    number = phone.parse(text)
    if number is None:
        return Said(UNKNOWN)
    facts = offline.look_up(number)
    return Said(number.type, facts.carrier)


def examples() -> list[str]:
    """The metadata's own: of every region (or code without one) and every type."""
    return [
        f"+{code}{described.example_number}"
        for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        for region in regions
        for described in vars(PhoneMetadata.metadata_for_region_or_calling_code(code, region)).values()
        if isinstance(described, PhoneNumberDesc) and described.example_number
    ]


def samples(seed: int) -> Iterator[str]:
    """Texts without end, the same for the same seed: the examples, numbers near them, and anything else.

    A valid one takes the place of what it was made of. So from each example a number walks through all that
    is valid, and what is not lies close to the borders.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    first = examples()
    walkers = list(first)
    yield from ODD
    yield from first
    while True:
        place = chance.randrange(len(first))
        text = chance.choice(_WAYS)(chance, chance.choice((first, walkers))[place])
        if phone.parse(text):
            walkers[place] = text
        yield text


def _digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choices("0123456789", k=count))


def _code(near: str) -> str:
    return next(near[:end] for end in (2, 3, 4) if int(near[1:end]) in COUNTRY_CODE_TO_REGION_CODE)


def _any_of_a_code(chance: random.Random, near: str) -> str:
    return f"+{chance.choice(_CODES)}{_digits(chance, chance.randrange(15))}"


def _any_of_a_carrier_or_place(chance: random.Random, near: str) -> str:
    start = chance.choice(_STARTS)
    return f"+{start}{_digits(chance, max(0, len(near) - 1 - len(start)))}"


def _other_end(chance: random.Random, near: str) -> str:
    kept = chance.randrange(2, len(near))
    return near[:kept] + _digits(chance, len(near) - kept)


def _other_digit(chance: random.Random, near: str) -> str:
    at = chance.randrange(1, len(near))
    return near[:at] + _digits(chance, 1) + near[at + 1 :]


def _longer(chance: random.Random, near: str) -> str:
    at = chance.randrange(1, len(near) + 1)
    return near[:at] + _digits(chance, chance.randrange(1, 3)) + near[at:]


def _shorter(chance: random.Random, near: str) -> str:
    at = chance.randrange(1, len(near))
    return near[:at] + near[at + 1 :]


def _with_a_prefix(chance: random.Random, near: str) -> str:
    return _code(near) + chance.choice(_PREFIXES) + near[len(_code(near)) :]


def _other_code(chance: random.Random, near: str) -> str:
    return f"+{chance.choice(_CODES)}{near[len(_code(near)) :]}"


def _with_an_odd_character(chance: random.Random, near: str) -> str:
    at = chance.randrange(len(near) + 1)
    return near[:at] + chance.choice(" -.()x#;,+０६²a\n\x00") + near[at:]


_CODES = list(COUNTRY_CODE_TO_REGION_CODE)
_STARTS = [*CARRIER_DATA, *TIMEZONE_DATA]
_PREFIXES = ["0", "00", "1", "01", "06", "8", "80", "9", "90", "15", "0415", "1115", "021", "179", "1900"]
_WAYS: list[Callable[[random.Random, str], str]] = [
    _any_of_a_code,
    _any_of_a_carrier_or_place,
    _other_end,
    _other_digit,
    _longer,
    _shorter,
    _with_a_prefix,
    _other_code,
    _with_an_odd_character,
]
