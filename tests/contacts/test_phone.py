"""What a number is: as phonenumbers says it, in another way."""

import random
from itertools import chain, islice, product
from typing import Any

import phonenumbers
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberDesc, PhoneNumberType

from contacts import phone
from tests import numbers


def test_every_text_is_to_us_what_it_is_to_phonenumbers() -> None:
    phonenumbers.enable_pattern_cache()  # else it compiles the patterns of all countries again and again
    for text in islice(numbers.samples(seed=1), 30_000):
        assert numbers.by_us(text) == numbers.by_phonenumbers(text), text


@pytest.mark.parametrize("seed", range(30))
def test_so_it_is_where_the_metadata_contradicts_itself(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The real one does not, so there it makes no difference in which order regions and types are asked."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    regions = [_invented(chance, name) for name in ("XA", "XB", "XC")[: chance.randint(1, 3)]]
    for region in regions:
        monkeypatch.setitem(PhoneMetadata._region_metadata, region.id, region)
    monkeypatch.setitem(COUNTRY_CODE_TO_REGION_CODE, 999, [region.id for region in regions])
    monkeypatch.setattr(phone, "_CALLING_CODES", {"999"})
    phone._plan.cache_clear()
    try:
        for digits in chain.from_iterable(product("0123456789", repeat=length) for length in (1, 2, 3)):
            text = f"+999{''.join(digits)}"
            assert numbers.by_us(text) == numbers.by_phonenumbers(text), (text, regions)
    finally:
        phone._plan.cache_clear()


def _invented(chance: random.Random, name: str) -> PhoneMetadata:
    """A region whose types overlap each other, its general pattern, its prefix and other regions."""

    def some() -> PhoneNumberDesc:
        starts = chance.sample(["0", "1", "[1-6]", "[4-9]", "7[0-4]", "58", r"\d"], k=2)
        pattern = "|".join(start + chance.choice((r"\d", r"\d?", r"\d{1,2}")) for start in starts)
        return PhoneNumberDesc(pattern, possible_length=chance.choice(((2, 3), (2,), (3,))))

    types: dict[str, Any] = {each: some() for each in chance.sample(_TYPES, k=4)}
    if chance.random() < 0.5:
        alike = some().national_number_pattern
        types["fixed_line"] = PhoneNumberDesc(alike, possible_length=chance.choice(((2, 3), (2,))))
        types["mobile"] = PhoneNumberDesc(alike, possible_length=chance.choice(((), (3,))))
    prefix, rule = chance.choice(_PREFIXES)
    return PhoneMetadata(
        name,
        general_desc=PhoneNumberDesc(
            r"[0-57-9]\d{1,2}|6\d", possible_length=chance.choice(((2, 3), (2, 3), (2,)))
        ),
        **types,
        country_code=999,
        national_prefix_for_parsing=prefix,
        national_prefix_transform_rule=rule,
        leading_digits=chance.choice((None, None, "[0-4]", "[3-8]", "58|7")),
        register=False,
    )


_TYPES = ["fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"]
_TYPES += ["personal_number", "voip", "pager", "uan", "voicemail"]
_PREFIXES = [(None, None), ("0", None), ("[05]", None), ("0?(?:(1|58))?", r"9\1"), ("(4)|6", r"\1")]


def test_the_samples_hold_numbers_of_every_code_and_type() -> None:
    found = [number for text in islice(numbers.samples(seed=1), 5_000) if (number := phone.parse(text))]
    assert {number.calling_code for number in found} == set(map(str, COUNTRY_CODE_TO_REGION_CODE))
    assert {number.type for number in found} == set(PhoneNumberType.values()) - {numbers.UNKNOWN}


def test_phonenumbers_reads_no_number_but_those_that_may_begin_with_a_prefix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mobiles = [
        text for text in numbers.examples() if numbers.by_us(text).number_type == PhoneNumberType.MOBILE
    ]
    assert len(mobiles) > 200

    def parse(text: str) -> phonenumbers.PhoneNumber:
        raise AssertionError(text)

    monkeypatch.setattr(phonenumbers, "parse", parse)
    assert all(map(phone.parse, mobiles))
    with pytest.raises(AssertionError):
        phone.parse("+78121234567")  # Saint Petersburg; within Russia, 8 is dialled before a number
