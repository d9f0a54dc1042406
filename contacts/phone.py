"""Phone numbers: E.164 (ITU-T E.164: `+`, no leading zero, at most 15 digits) and phonenumbers' metadata."""

import re

import phonenumbers

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")


def is_e164(text: str) -> bool:
    """Whether `text` has E.164's form. ASCII digits only, no spaces, no punctuation."""
    return _E164.fullmatch(text) is not None


def parse(text: str) -> phonenumbers.PhoneNumber | None:
    """The number that `text` writes in E.164, or None if the metadata knows no such number.

    A number that would be written otherwise than `text` is None too (`+4402079460958` holds Britain's trunk
    zero): one subscriber must not become two contacts.
    """
    if not is_e164(text):
        return None
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return number if phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == text else None
