"""A contact's fields: the one list of them, and how each is read (contract, "A contact").

The parser, the columns of errors.csv and of the list's export, the columns that a membership is written
with, and the schema in the OpenAPI description are made of `Fields`. A new field of the consent's evidence is
a line there, and a column of the same name in contacts.models.ListContact.
"""

import ipaddress
import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec

from core import codec

MAX_URL_CHARACTERS = 2_048
MAX_FIELD_NAMES = 200
MAX_NUMBER_CHARACTERS = 40
"""Of a number in custom_fields, as PostgreSQL stores it: without an exponent."""
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
"""The common notation, four decimal parts; `ipaddress` reads it, too."""
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?:[/?#][!-~]*)?")
_UNPRINTABLE = re.compile(r"[\x00- \x7f]")


def _ip_address(given: Any) -> str:
    """IPv4 or IPv6, without a zone (`%eth0` means something on one machine only)."""
    message = "must be an IPv4 or IPv6 address"
    if isinstance(given, str) and _IPV4.fullmatch(given):
        return given
    if not isinstance(given, str) or "%" in given:
        raise ValueError(message)
    try:
        return str(ipaddress.ip_address(given))
    except ValueError as exc:
        raise ValueError(message) from exc


def _url(given: Any) -> str:
    message = f"must be an http or https URL of up to {MAX_URL_CHARACTERS:,} characters"
    if not isinstance(given, str) or len(given) > MAX_URL_CHARACTERS:
        raise ValueError(message)
    if _PLAIN_URL.fullmatch(given):
        return given
    if _UNPRINTABLE.search(given) or not codec.storable(given):
        raise ValueError(message)
    try:
        parts = urlsplit(given)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError as exc:
        raise ValueError(message) from exc
    if not valid:
        raise ValueError(message)
    return given


def read_custom_fields(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ValueError("must be an object")
    if len(given) > MAX_FIELD_NAMES:
        raise ValueError(f"must not have more than {MAX_FIELD_NAMES} names")
    for key, value in given.items():
        if not codec.storable(key):
            raise ValueError("has a name with a character that can't be stored")
        if isinstance(value, codec.OutOfRange):
            raise ValueError("has a number that is out of range")
        if isinstance(value, str):
            if not codec.storable(value):
                raise ValueError("has a text with a character that can't be stored")
        elif not isinstance(value, int | float):  # bool is an int
            raise ValueError("must hold strings, numbers and booleans only")
        elif (
            len(f"{Decimal(repr(value)):f}" if isinstance(value, float) else str(value))
            > MAX_NUMBER_CHARACTERS
        ):
            raise ValueError(f"has a number of more than {MAX_NUMBER_CHARACTERS} characters")
    return given


Read = Callable[[Any], Any]
"""Makes the value that is stored of what was sent; raises ValueError with what is wrong ("must be …")."""


def _field(schema: dict[str, Any], *, evidence: Read | None = None) -> msgspec.Meta:
    """`schema`: what OpenAPI says of it beside its type. `evidence`: how a field of the consent's is read."""
    return msgspec.Meta(extra_json_schema=schema, extra={"evidence": evidence} if evidence else None)


E164 = {"pattern": r"^\+[1-9][0-9]{1,14}$", "examples": ["+14155559876"]}


class Fields(msgspec.Struct, gc=False):
    """A contact as it is sent: the names, types and defaults of its fields. Others are ignored."""

    phone_number: Annotated[str, _field(E164)]
    list_number: Annotated[
        str, _field({**E164, "description": "The number of one of the account's sending lists."})
    ]
    use_journeys: Annotated[bool, _field({"description": "Enroll in matching journeys."})] = False
    skip_journey_if_exists: bool = True
    use_validation: Annotated[bool, _field({"description": "Paid validation."})] = False
    signup_date: (
        Annotated[
            str,
            _field(
                {
                    "anyOf": [
                        {"type": "string", "format": "date-time"},
                        {"type": "string", "format": "date"},
                    ],
                    "description": "ISO 8601; without an offset: UTC.",
                }
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    ip_address: (
        Annotated[
            str,
            _field(
                {
                    "anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}],
                    "description": "IPv4 or IPv6; where the consent was given.",
                },
                evidence=_ip_address,
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    url: (
        Annotated[
            str,
            _field(
                {"format": "uri", "maxLength": MAX_URL_CHARACTERS, "pattern": "^https?://"}, evidence=_url
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    custom_fields: dict[str, str | bool | int | float] | msgspec.UnsetType = msgspec.UNSET
    replace_custom_fields: bool = False


NAMES = Fields.__struct_fields__


def _evidence() -> dict[str, Read]:
    """The fields that are the consent's evidence, each with what reads it."""
    found = {}
    for name, hint in get_type_hints(Fields, include_extras=True).items():
        for option in get_args(hint):
            for meta in getattr(option, "__metadata__", ()):
                if meta.extra:
                    found[name] = meta.extra["evidence"]
    return found


EVIDENCE = _evidence()
"""By name. A membership keeps the first value of each."""
NOT_SENT: tuple[Any, ...] = (None,) * len(EVIDENCE)
"""The evidence of a contact without any, as most are: this one tuple, so that `is` tells."""
_evidence_sent = operator.attrgetter(*EVIDENCE)
_UNSET = (msgspec.UNSET,) * len(EVIDENCE)


def evidence_of(contact: Fields) -> tuple[Any, ...]:
    """A decoded contact's evidence, in the order of EVIDENCE; None: was not sent. Raises ValueError."""
    sent = _evidence_sent(contact)
    if sent == _UNSET:
        return NOT_SENT
    return tuple(
        [
            None if given is msgspec.UNSET else read(given)
            for given, read in zip(sent, EVIDENCE.values(), strict=True)
        ]
    )
