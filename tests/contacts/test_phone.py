"""What a number is: as phonenumbers says it, in another way."""

from itertools import islice

import phonenumbers
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberType

from contacts import phone
from tests import numbers


def test_every_text_is_to_us_what_it_is_to_phonenumbers() -> None:
    phonenumbers.enable_pattern_cache()  # else it compiles the patterns of all countries again and again
    for text in islice(numbers.samples(seed=1), 30_000):
        assert numbers.by_us(text) == numbers.by_phonenumbers(text), text


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
