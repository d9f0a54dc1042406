"""Macros in messages, and the segments that a text takes."""

from typing import Any

import pytest

from journeys.text import LONGEST, LONGEST_TEMPLATE, LONGEST_VALUE, problems, render, segments, tags

KNOWN = {"phone_number": "+14155559876", "list_name": "Deals", "brand_name": "Acme"}


@pytest.mark.parametrize(
    ("template", "fields", "text"),
    [
        ("Hello", {}, "Hello"),
        ("Hi {{first_name}}!", {"first_name": "Jane"}, "Hi Jane!"),
        ("{{a}}{{b}}{{a}}", {"a": "x", "b": "y"}, "xyx"),
        ("Hi {{ first_name }}!", {"first_name": "Jane"}, "Hi Jane!"),
        ("Hi {{\nfirst name \n}}!", {"first name": "Jane"}, "Hi Jane!"),
        ("Hi {{First_Name}}!", {"first_name": "Jane"}, "Hi !"),
        ("Hi {{first_name}}!", {}, "Hi !"),
        ("Hi {{first_name}}!", {"first_name": ""}, "Hi !"),
        ("Hi {{first_name|there}}!", {}, "Hi there!"),
        ("Hi {{first_name|there}}!", {"first_name": ""}, "Hi there!"),
        ("Hi {{first_name|there}}!", {"first_name": " \n "}, "Hi there!"),
        ("Hi {{first_name|there}}!", {"first_name": "Jane"}, "Hi Jane!"),
        ("Hi{{ first_name | there}}!", {}, "Hi there!"),
        ("Hi {{first_name|}}!", {}, "Hi !"),
        ("Hi {{first_name|you|all}}!", {}, "Hi you|all!"),
        ("Hi {{first_name|you\nthere}}!", {}, "Hi you\nthere!"),
        ("{{n}} {{f}} {{yes}} {{no}}", {"n": 5, "f": 5.0, "yes": True, "no": False}, "5 5 true false"),
        ("{{n|none}}", {"n": 0}, "0"),
        ("{{brand_name}}: {{list_name}}", {}, "Acme: Deals"),
        ("{{brand_name}}", {"brand_name": "Mine"}, "Mine"),
        ("{{brand_name|x}}", {"brand_name": ""}, "x"),
        ("{{list_number|x}}", {}, "x"),
        ("  Hi\nthere \n", {}, "Hi\nthere"),
        ("{{a}}", {}, ""),
    ],
)
def test_macros_are_filled_in(template: str, fields: dict[str, Any], text: str) -> None:
    assert list(problems(template)) == []
    assert render(template, fields, KNOWN) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{{{", "{{"),
        ("{{{{a}}", "{{a}}"),
        ("{{{{a}}}}", "{{a}}}}"),
        ("{{{{{{a}}", "{{x"),
        ("{{{{{{{{", "{{{{"),
        ("{{a}}{{{{a}}", "x{{a}}"),
        ("{ {a} } }}", "{ {a} } }}"),
        ("{{a}}}", "x}"),
    ],
)
def test_four_braces_are_two_literal_ones(template: str, text: str) -> None:
    assert list(problems(template)) == []
    assert render(template, {"a": "x"}, {}) == text


@pytest.mark.parametrize(
    "value", ["{{b}}", "{{{{", "{{", "}}", "{{b|x}}", "{", "\\1", "\\g<name>", "%s", "{0}"]
)
def test_a_value_is_taken_as_it_is(value: str) -> None:
    assert render("<{{a}}> {{b}}", {"a": value, "b": "secret"}, {}) == f"<{value}> secret"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Jane\nDoe", "Jane Doe"),
        ("Jane\r\n\r\nDoe", "Jane Doe"),
        ("\tJane  Doe ", "Jane Doe"),
        ("Jane\x00Doe", "Jane Doe"),
        ("Ja\x1bne\x7f\x85", "Ja ne"),
        ("Jane\ud800Doe\udfff", "Jane Doe"),
        ("\u2028Jane\u2029\u00a0Doe", "Jane Doe"),
        ("\x07", "-"),
        ("\ud83d", "-"),
        ("Zoë 😀", "Zoë 😀"),
    ],
)
def test_a_value_is_one_line_of_text(value: str, shown: str) -> None:
    assert render("<{{a|-}}>", {"a": value}, {}) == f"<{shown}>"


def test_a_known_value_is_cleaned_like_a_field() -> None:
    assert render("{{brand_name}}", {}, {"brand_name": "Ac\nme\x00"}) == "Ac me"


@pytest.mark.parametrize("length", [LONGEST_VALUE - 1, LONGEST_VALUE, LONGEST_VALUE + 1, 4000])
def test_a_long_value_is_cut(length: int) -> None:
    assert render("<{{a}}>", {"a": "é" * length}, {}) == f"<{'é' * min(length, 200)}>"


def test_whitespace_does_not_count_for_a_values_length() -> None:
    assert render("<{{a}}>", {"a": "\n" * 300 + "x" * 200}, {}) == f"<{'x' * 200}>"


def test_a_message_is_cut_at_what_the_gateway_takes() -> None:
    fields = {"a": "x" * 200}
    assert render("{{a}}" * 8, fields, {}) == "x" * LONGEST
    assert render("{{a}}" * 8 + "y", fields, {}) == "x" * LONGEST
    assert render("." + "{{a}}" * 8, fields, {}) == "." + "x" * (LONGEST - 1)


def test_tags_are_named_once_each_with_whether_they_have_a_fallback_everywhere() -> None:
    found = tags("{{b}} {{ a |x}} {{{{c}} {{b|y}} {{two words}} {{d|}}")
    assert list(found.items()) == [("b", False), ("a", True), ("two words", False), ("d", True)]
    assert tags("none {{{{") == {}


EMPTY = "Enter the text of the message."


def unprintable(code: str) -> str:
    return f"Remove the character U+{code}: it can't be sent."


def too_long(length: str) -> str:
    return f"Shorten the text: it has {length} characters, and 1,600 are allowed."


def unreadable(near: str) -> str:
    return f'Correct the merge tag at "{near}": write {{{{name}}}} or {{{{name|fallback}}}}.'


def nameless(tag: str) -> str:
    return f'Enter a field name in the merge tag "{tag}": write {{{{name}}}}.'


@pytest.mark.parametrize(
    ("template", "sentences"),
    [
        ("Hi\nthere — 😀", []),
        ("", [EMPTY]),
        (" \n ", [EMPTY]),
        ("\t", [EMPTY, unprintable("0009")]),
        ("Hi\x00", [unprintable("0000")]),
        ("Hi\rthere", [unprintable("000D")]),
        ("Hi\x85", [unprintable("0085")]),
        ("Hi \ud83d", [unprintable("D83D")]),
        ("{{a|\x07}}", [unprintable("0007")]),
        ("Hi {{a", [unreadable("{{a")]),
        ("Hi {{a}", [unreadable("{{a}")]),
        ("{{a{{b}}", [unreadable("{{a{{b}}")]),
        ("{{{a}}}", [unreadable("{{{a}}}")]),
        ("{{a|{b}}}", [unreadable("{{a|{b}}}")]),
        ("{{" + "a" * 99, [unreadable("{{" + "a" * 18)]),
        ("{{{{{{", [unreadable("{{")]),
        ("{{}}", [nameless("{{}}")]),
        ("{{ }}", [nameless("{{ }}")]),
        ("{{|there}}", [nameless("{{|there}}")]),
        ("{{ | there}}", [nameless("{{ | there}}")]),
        ("x" * LONGEST, []),
        ("x" * (LONGEST + 1), [too_long("1,601")]),
        ("x" * LONGEST + "{{a}}" * 9, []),
        ("x" * 800 + "{{a}}" + "x" * 801, [too_long("1,601")]),
        ("{{{{" * 800, []),
        ("{{{{" * 801, [too_long("1,602")]),
        ("\x00" * (LONGEST + 1), [unprintable("0000"), too_long("1,601")]),
        ("{{" + "a" * (LONGEST_TEMPLATE - 4) + "}}", []),
        (
            "{{" + "a" * LONGEST_TEMPLATE + "}}",
            ["Shorten the text: it has 10,004 characters with its merge tags, and 10,000 are allowed."],
        ),
    ],
)
def test_what_is_wrong_with_a_template_is_said(template: str, sentences: list[str]) -> None:
    assert list(problems(template)) == sentences


@pytest.mark.parametrize("template", ["{{a", "{{}}", "{{{a}}}"])
def test_a_template_that_cannot_be_read_is_not_sent(template: str) -> None:
    with pytest.raises(ValueError, match=r"Correct the merge tag|Enter a field name"):
        render(template, {"a": "x"}, {})
    with pytest.raises(ValueError, match=r"Correct the merge tag|Enter a field name"):
        tags(template)


@pytest.mark.parametrize(
    ("text", "encoding", "count", "units"),
    [
        ("", "GSM-7", 1, 0),
        ("x", "GSM-7", 1, 1),
        ("x" * 160, "GSM-7", 1, 160),
        ("x" * 161, "GSM-7", 2, 161),
        ("x" * 306, "GSM-7", 2, 306),
        ("x" * 307, "GSM-7", 3, 307),
        ("€" * 80, "GSM-7", 1, 160),
        ("€" * 80 + "x", "GSM-7", 2, 161),
        ("x" * 159 + "€", "GSM-7", 2, 161),
        ("x" * 158 + "€", "GSM-7", 1, 160),
        # 153 septets a segment: 76 of two places and one left over.
        ("€" * 152, "GSM-7", 2, 304),
        ("€" * 153, "GSM-7", 3, 306),
        ("x" * 152 + "€" + "x" * 151, "GSM-7", 2, 305),
        ("x" * 152 + "€" + "x" * 152, "GSM-7", 3, 306),
        ("x" * 151 + "€" + "x" * 153, "GSM-7", 2, 306),
        ("ж", "UCS-2", 1, 1),
        ("x" * 69 + "ж", "UCS-2", 1, 70),
        ("ж" * 70, "UCS-2", 1, 70),
        ("ж" * 71, "UCS-2", 2, 71),
        ("ж" * 134, "UCS-2", 2, 134),
        ("ж" * 135, "UCS-2", 3, 135),
        ("€" * 69 + "ж", "UCS-2", 1, 70),
        ("\t", "UCS-2", 1, 1),
        ("`", "UCS-2", 1, 1),
        ("ç", "UCS-2", 1, 1),
        ("’", "UCS-2", 1, 1),
        ("😀", "UCS-2", 1, 2),
        ("😀" * 35, "UCS-2", 1, 70),
        ("x" * 69 + "😀", "UCS-2", 2, 71),
        # 67 units a segment: 33 of two and one left over.
        ("😀" * 66, "UCS-2", 2, 132),
        ("😀" * 67, "UCS-2", 3, 134),
        ("x" * 66 + "😀" + "x" * 65, "UCS-2", 2, 133),
        ("x" * 66 + "😀" + "x" * 66, "UCS-2", 3, 134),
        ("x" * 65 + "😀" + "x" * 67, "UCS-2", 2, 134),
        ("\uffff", "UCS-2", 1, 1),
        ("\U00010000", "UCS-2", 1, 2),
    ],
)
def test_a_text_takes_segments(text: str, encoding: str, count: int, units: int) -> None:
    found = segments(text)
    assert (found.encoding, found.count, found.units) == (encoding, count, units)


@pytest.mark.parametrize(
    ("text", "words"),
    [("x", "GSM-7, 1 segment"), ("x" * 161, "GSM-7, 2 segments"), ("ж", "UCS-2, 1 segment")],
)
def test_segments_are_told_in_words(text: str, words: str) -> None:
    assert str(segments(text)) == words


def test_the_alphabet_is_the_standards() -> None:
    """3GPP TS 23.038, 6.2.1, by code points: 128 places, of which 0x1B is the escape to the extension."""
    first = (
        "40 A3 24 A5 E8 E9 F9 EC F2 C7 0A D8 F8 0D C5 E5 "
        "394 5F 3A6 393 39B 3A9 3A0 3A8 3A3 398 39E C6 E6 DF C9"
    )
    ascii_but = {
        0x24: 0xA4,
        0x40: 0xA1,
        0x5B: 0xC4,
        0x5C: 0xD6,
        0x5D: 0xD1,
        0x5E: 0xDC,
        0x5F: 0xA7,
        0x60: 0xBF,
    }
    ascii_but |= {0x7B: 0xE4, 0x7C: 0xF6, 0x7D: 0xF1, 0x7E: 0xFC, 0x7F: 0xE0}
    alphabet = {int(code, 16) for code in first.split()} | {
        ascii_but.get(code, code) for code in range(0x20, 0x80)
    }
    extension = {0x0C, 0x5E, 0x7B, 0x7D, 0x5C, 0x5B, 0x7E, 0x5D, 0x7C, 0x20AC}
    assert (len(alphabet), len(extension), alphabet & extension) == (127, 10, set())
    found = {code: segments(chr(code)) for code in range(0x10000)}
    short = {code: one.units for code, one in found.items() if one.encoding == "GSM-7"}
    assert short == {**dict.fromkeys(alphabet, 1), **dict.fromkeys(extension, 2)}
