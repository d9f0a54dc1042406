"""The contact object: its rules, and what is said where one is broken (contract, "A contact")."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from contacts import phone
from contacts.fields import EVIDENCE, MAX_FIELD_NAMES, Fields, evidence_of, read_custom_fields
from core import codec

T = TypeVar("T")

MAX_CONTACT_BYTES = 4_000
_DEEPEST = codec.MODEST_DEPTH + 1
"""Levels of nesting; the contact itself is one."""
_LEAST_PLAIN, _MOST_PLAIN = 1e-4, 1e16  # repr() writes such a number without an exponent


class ContactError(Exception):
    """A contact that fails: the entry of `errors` without its index and phone number."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.more = more

    def bare(self) -> "ContactError":
        """The same without what Python remembers of its way: frames, which hold the slice it belongs to."""
        return ContactError(self.code, self.message, **self.more)


class Contact(msgspec.Struct, gc=False):
    """A contact whose shape is right. Whether its list exists and its number takes messages comes later."""

    phone_number: str
    number: phone.Number
    list_number: str
    use_journeys: bool
    skip_journey_if_exists: bool
    use_validation: bool
    signup_date: datetime | None
    evidence: tuple[Any, ...]
    """Of the consent, in the order of EVIDENCE; None: was not sent."""
    custom_fields: dict[str, Any]
    """Only ever replaced, never changed."""
    replace_custom_fields: bool


def is_too_deep(raw: bytes) -> bool:
    """Whether the contact holds a value that is nested too deeply to be taken on its way."""
    return codec.is_deeper(raw, _DEEPEST)


def decode(raw: bytes) -> Any:
    """The JSON value of one contact, as sent. Raises RecursionError for what `is_too_deep`."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError):
        return codec.loads(raw)  # a lone surrogate, a number that msgspec or Python can't hold


def parse(raw: bytes, value: Any) -> Contact:
    """Check one contact, of which `raw` are the bytes as sent and `value` what they decode to.

    Raises ContactError, in the contract's order: the first rule that is broken counts.
    """
    if not isinstance(value, dict):
        raise ContactError("invalid_contact", "Each contact must be an object")
    if len(raw) > MAX_CONTACT_BYTES:
        raise ContactError("payload_too_large", f"The contact exceeds {MAX_CONTACT_BYTES:,} bytes")
    phone_number, list_number = value.get("phone_number"), value.get("list_number")
    if phone_number is None or phone_number == "":
        raise ContactError("missing_phone_number", "phone_number is missing")
    if list_number is None or list_number == "":
        raise ContactError("missing_list_number", "list_number is missing")
    number = phone.parse(phone_number) if isinstance(phone_number, str) else None
    if number is None:
        raise ContactError("invalid_phone", "phone_number is not a valid E.164 number")
    if not isinstance(list_number, str) or not phone.is_e164(list_number):
        raise ContactError("invalid_list_number", "list_number is not a valid E.164 number")
    return Contact(
        phone_number=phone_number,
        number=number,
        list_number=list_number,
        use_journeys=_boolean(value, "use_journeys", default=False),
        skip_journey_if_exists=_boolean(value, "skip_journey_if_exists", default=True),
        use_validation=_boolean(value, "use_validation", default=False),
        signup_date=_optional(value, "signup_date", codec.read_moment),
        evidence=tuple([_optional(value, name, read) for name, read in EVIDENCE.items()]),
        custom_fields=_optional(value, "custom_fields", read_custom_fields) or {},
        # Without custom_fields there is nothing to replace them with; `{}` empties them.
        replace_custom_fields=_boolean(value, "replace_custom_fields", default=False)
        and "custom_fields" in value,
    )


_plain = msgspec.json.Decoder(Fields).decode


def parse_plain(raw: bytes) -> Contact | None:
    """What `parse` makes of a contact in which nothing is wrong or unusual; None: ask `decode` and `parse`.

    A third of their time, for what nearly all contacts are: msgspec checks the types while it reads.
    """
    if len(raw) > MAX_CONTACT_BYTES or b"\\" in raw or b"null" in raw:
        return None  # an escape may stand for what can't be stored
    if codec.is_deeper(raw, _DEEPEST):
        return None
    try:
        plain = _plain(raw)
        number = phone.parse(plain.phone_number)
        if number is None or not phone.is_e164(plain.list_number):
            return None
        fields = plain.custom_fields
        if fields is not msgspec.UNSET and not _are_modest(fields):
            return None
        return Contact(
            plain.phone_number,
            number,
            plain.list_number,
            plain.use_journeys,
            plain.skip_journey_if_exists,
            plain.use_validation,
            None if plain.signup_date is msgspec.UNSET else codec.read_moment(plain.signup_date),
            evidence_of(plain),
            {} if fields is msgspec.UNSET else fields,
            plain.replace_custom_fields and fields is not msgspec.UNSET,
        )
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None


def _are_modest(fields: dict[str, Any]) -> bool:
    """Whether custom fields are few, and the numbers among them of a usual size and precision."""
    return len(fields) <= MAX_FIELD_NAMES and all(
        isinstance(value, str) or value == 0 or _LEAST_PLAIN <= abs(value) < _MOST_PLAIN
        for value in fields.values()
    )


def _invalid(name: str, message: str) -> ContactError:
    return ContactError("invalid_field", f"{name} {message}", field=name)


def _boolean(value: Mapping[str, Any], name: str, *, default: bool) -> bool:
    given = value.get(name, default)
    if not isinstance(given, bool):
        raise _invalid(name, "must be true or false")
    return given


def _optional(value: Mapping[str, Any], name: str, read: Callable[[Any], T]) -> T | None:
    """What `read` makes of the field; None where it is absent. `null` is a wrong type, as in the contract."""
    if name not in value:
        return None
    try:
        return read(value[name])
    except (ValueError, OverflowError) as exc:
        raise _invalid(name, str(exc)) from exc
