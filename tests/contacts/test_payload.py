"""The contact object's rules, one by one."""

import ipaddress
import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contacts import fields, payload
from contacts.payload import ContactError

GOOD = {"phone_number": "+14155559876", "list_number": "+18005551234"}


def parse(contact: Any) -> payload.Contact:
    raw = contact if isinstance(contact, bytes) else json.dumps(contact).encode()
    return payload.parse(raw, payload.decode(raw))


def failure(contact: Any) -> ContactError:
    with pytest.raises(ContactError) as caught:
        parse(contact)
    return caught.value


def evidence(contact: payload.Contact) -> dict[str, Any]:
    return dict(zip(fields.EVIDENCE, contact.evidence, strict=True))


def test_what_is_not_given_has_the_contracts_defaults() -> None:
    contact = parse(GOOD)
    assert (contact.use_journeys, contact.skip_journey_if_exists, contact.use_validation) == (
        False,
        True,
        False,
    )
    assert (contact.signup_date, evidence(contact)) == (None, {"ip_address": None, "url": None})
    assert (contact.custom_fields, contact.replace_custom_fields) == ({}, False)


@pytest.mark.parametrize(
    ("contact", "code"),
    [
        (None, "invalid_contact"),
        ([], "invalid_contact"),
        ("x" * 5000, "invalid_contact"),
        ({**GOOD, "x": "y" * 4000}, "payload_too_large"),
        ({"x": "y" * 4000}, "payload_too_large"),
        ({}, "missing_phone_number"),
        ({**GOOD, "phone_number": None}, "missing_phone_number"),
        ({**GOOD, "phone_number": ""}, "missing_phone_number"),
        ({"phone_number": "nonsense"}, "missing_list_number"),
        ({**GOOD, "list_number": ""}, "missing_list_number"),
        ({**GOOD, "phone_number": 14155559876}, "invalid_phone"),
        ({**GOOD, "phone_number": False}, "invalid_phone"),
        ({**GOOD, "phone_number": []}, "invalid_phone"),
        ({**GOOD, "phone_number": "14155559876"}, "invalid_phone"),
        ({**GOOD, "phone_number": "+1 415 555 9876"}, "invalid_phone"),
        ({**GOOD, "phone_number": " +14155559876"}, "invalid_phone"),
        ({**GOOD, "phone_number": "+14155559876\n"}, "invalid_phone"),
        ({**GOOD, "phone_number": "+1415555987６"}, "invalid_phone"),
        ({**GOOD, "phone_number": "+04155559876"}, "invalid_phone"),
        ({**GOOD, "phone_number": "+11155559876"}, "invalid_phone"),
        ({**GOOD, "phone_number": "+4402079460958"}, "invalid_phone"),
        ({**GOOD, "phone_number": "+1415555987\x00"}, "invalid_phone"),
        ({**GOOD, "phone_number": "bad", "list_number": "bad"}, "invalid_phone"),
        ({**GOOD, "list_number": 1}, "invalid_list_number"),
        ({**GOOD, "list_number": "18005551234"}, "invalid_list_number"),
        ({**GOOD, "list_number": "+1800555123456789"}, "invalid_list_number"),
        ({**GOOD, "list_number": "bad", "use_journeys": 1}, "invalid_list_number"),
    ],
)
def test_the_first_broken_rule_counts(contact: Any, code: str) -> None:
    assert failure(contact).code == code


def test_the_limit_is_on_the_bytes_as_sent() -> None:
    body = json.dumps(GOOD).encode()
    assert parse(body[:-1] + b" " * (4000 - len(body)) + b"}").phone_number == GOOD["phone_number"]
    assert failure(body[:-1] + b" " * (4001 - len(body)) + b"}").code == "payload_too_large"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *itertools.product(
            ("use_journeys", "skip_journey_if_exists", "use_validation"), ("true", 1, 0, None, [])
        ),
        ("signup_date", "yesterday"),
        ("signup_date", 1741593600),
        ("signup_date", None),
        ("signup_date", ""),
        ("signup_date", "2025-02-30"),
        ("signup_date", "0001-01-01T00:00:00+14:00"),
        ("ip_address", "300.1.1.1"),
        ("ip_address", "fe80::1%eth0"),
        ("ip_address", 3232235777),
        ("ip_address", ""),
        ("url", "ftp://example.com/"),
        ("url", "example.com"),
        ("url", "https://"),
        ("url", "https://exa mple.com/"),
        ("url", "https://example.com/\x00"),
        ("url", "https://example.com:99999/"),
        ("url", "https://[::1/"),
        ("url", "https://example.com/" + "x" * 2048),
        ("url", 1),
        ("custom_fields", []),
        ("custom_fields", None),
        ("custom_fields", {"a": None}),
        ("custom_fields", {"a": [1]}),
        ("custom_fields", {"a": {"b": 1}}),
        ("custom_fields", {"a": "\x00"}),
        ("custom_fields", {"\x00": "a"}),
        ("custom_fields", {"a": "\ud800"}),
        ("custom_fields", {"\udfff": "a"}),
        ("replace_custom_fields", "false"),
    ],
)
def test_a_field_of_the_wrong_type_or_value_is_named(name: str, value: Any) -> None:
    error = failure({**GOOD, name: value})
    assert (error.code, error.more) == ("invalid_field", {"field": name})
    assert error.message.startswith(name)


@pytest.mark.parametrize("number", ["1e400", "-1e999"])
def test_a_number_out_of_range_is_an_invalid_field(number: str) -> None:
    body = json.dumps(GOOD)[:-1] + f', "custom_fields": {{"a": {number}}}}}'
    assert failure(body.encode()).more == {"field": "custom_fields"}


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2025-03-10T08:00:00Z", datetime(2025, 3, 10, 8, tzinfo=UTC)),
        ("2025-03-10T08:00:00", datetime(2025, 3, 10, 8, tzinfo=UTC)),
        ("2025-03-10", datetime(2025, 3, 10, tzinfo=UTC)),
        ("2025-03-10T08:00:00.123456+02:00", datetime(2025, 3, 10, 6, 0, 0, 123456, tzinfo=UTC)),
        ("20250310T0800-0500", datetime(2025, 3, 10, 13, tzinfo=UTC)),
    ],
)
def test_moments_without_an_offset_are_utc(given: str, moment: datetime) -> None:
    assert parse({**GOOD, "signup_date": given}).signup_date == moment


def test_values_of_every_allowed_kind_are_taken() -> None:
    fields = {"name": "مرحبا", "age": 7, "big": 2**70, "ratio": -0.5, "vip": True, "": ""}
    contact = parse(
        {
            **GOOD,
            "custom_fields": fields,
            "ip_address": "2001:DB8::0:1",
            "url": "http://münchen.test:8080/?q=é",
        }
    )
    assert contact.custom_fields == fields
    assert evidence(contact) == {"ip_address": "2001:db8::1", "url": "http://münchen.test:8080/?q=é"}


def test_unknown_fields_are_ignored_whatever_they_hold() -> None:
    deep = "[" * 100 + "]" * 100
    body = (
        json.dumps(GOOD)[:-1] + f', "x": "\\ud800", "y": 1e999, "z": {deep}, "phone_number": "+14155559877"}}'
    )
    assert parse(body.encode()).phone_number == "+14155559877"


_numbers = st.sampled_from(
    ["+14155550100", "+447911123456", "+18005551234", "+1415555010", "+1415555010０", ""]
)
_texts = st.text(max_size=6) | st.sampled_from(["a\\u0000", "\ud800", "null", "é", "a\x7f", "\\"])
_scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.integers(2**62, 2**66) | st.floats() | _texts
_moments = st.sampled_from(
    ["2026-11-22", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00+05:30", "0001-01-01T00:00:00+10:00", "soon"]
)
_addresses = st.sampled_from(
    [
        "1.2.3.4",
        "255.255.255.255",
        "256.1.1.1",
        "01.2.3.4",
        "1.2.3",
        "1.2.3.4.",
        "::1",
        "FE80::1",
        "1.2.3.4\n",
        "١.2.3.4",
    ]
)
_urls = st.sampled_from(
    [
        "https://example.com",
        "http://example.com/a?b=c#d",
        "https://example.com:8443/",
        "https://user@example.com/",
        "https:///nobody",
        "ftp://example.com",
        "https://exa mple.com",
        "https://example.com/é",
        "https://example.com/a b",
        "https://[::1]/",
        "https://example..com",
        "HTTPS://EXAMPLE.COM",
        "https://example.com\n",
        "https://example.com/" + "a" * 2_048,
    ]
)
_contacts = st.fixed_dictionaries(
    {},
    optional={
        "phone_number": _numbers | _scalars,
        "list_number": _numbers | _scalars,
        "use_journeys": st.booleans() | _scalars,
        "skip_journey_if_exists": st.booleans() | _scalars,
        "use_validation": st.booleans() | _scalars,
        "signup_date": _moments | _scalars,
        "ip_address": _addresses | _scalars,
        "url": _urls | _scalars,
        "custom_fields": st.dictionaries(_texts, _scalars | st.lists(_scalars, max_size=2), max_size=3)
        | _scalars,
        "replace_custom_fields": st.booleans() | _scalars,
        "more": _scalars,
    },
)


@settings(max_examples=400)
@given(_contacts, st.booleans())
def test_what_is_read_in_one_go_is_what_the_rules_make_of_it(contact: dict[str, Any], escaped: bool) -> None:
    raw = json.dumps(contact, ensure_ascii=escaped).encode(errors="surrogatepass")
    plain = payload.parse_plain(raw)
    if plain is not None:
        assert repr(plain) == repr(payload.parse(raw, payload.decode(raw)))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"use_journeys": True, "custom_fields": {"a": 1, "b": 1.0, "c": True, "d": "é"}},
        {"signup_date": "2026-11-22T10:00:00Z", "ip_address": "1.2.3.4", "url": "https://example.com/a?b=c"},
        {"replace_custom_fields": True, "custom_fields": {}},
        {"replace_custom_fields": True, "unknown": [1]},
    ],
)
def test_the_usual_contact_is_read_in_one_go(more: dict[str, Any]) -> None:
    raw = json.dumps({"phone_number": "+14155550100", "list_number": "+18005551234", **more}).encode()
    raw = raw.replace(b"\\u00e9", "é".encode())
    plain = payload.parse_plain(raw)
    assert repr(plain) == repr(payload.parse(raw, payload.decode(raw)))


@pytest.mark.parametrize("address", ["1.2.3.4", "0.0.0.0", "255.255.255.255", "192.168.10.1", "10.0.0.249"])  # noqa: S104
def test_an_address_as_everybody_writes_it_is_taken_as_it_is(address: str) -> None:
    assert fields._IPV4.fullmatch(address)
    assert str(ipaddress.ip_address(address)) == address


@given(st.lists(st.integers(0, 300), min_size=3, max_size=5), st.sampled_from(["", "0", ".", " ", "\n"]))
def test_an_address_is_one_for_the_pattern_if_it_is_one_for_python(parts: list[int], odd: str) -> None:
    for text in (".".join(map(str, parts)), ".".join(map(str, parts)) + odd, odd + ".".join(map(str, parts))):
        try:
            is_one = str(ipaddress.IPv4Address(text)) == text
        except ValueError:
            is_one = False
        assert bool(fields._IPV4.fullmatch(text)) == is_one
