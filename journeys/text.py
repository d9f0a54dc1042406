"""The text of a message: macros filled in, and how many segments it takes.

`{{first_name}}` is a custom field, or one of BUILT_IN; `{{first_name|there}}` has a fallback for
contacts without the field, or with an empty one. `{{{{` is a literal `{{`. A value is taken as it is: braces
in it mean nothing.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from journeys.conditions import as_text

LONGEST = 1_600
"""Characters; what Twilio takes (error 21617)."""
LONGEST_TEMPLATE = 10_000
"""Characters, with the merge tags."""
LONGEST_VALUE = 200
"""Characters of a custom field that a message repeats."""
BUILT_IN = ("phone_number", "list_number", "list_name", "brand_name")
"""Known of every contact; a custom field of the same name takes precedence."""

_LAST_OF_ONE_UNIT = 0xFFFF  # in UCS-2; beyond, a character is a surrogate pair
_TOKEN = re.compile(r"\{\{\{\{|\{\{(?P<macro>[^{}]*)\}\}|\{\{")
_MACRO = re.compile(r"\s*(?P<name>[^|\s](?:[^|]*[^|\s])?)\s*(?:\|(?P<default>.*))?", re.DOTALL)


def _parts(template: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """Literal text, each with the macro behind it, if any. Raises ValueError where a macro is none."""
    position = 0
    for token in _TOKEN.finditer(template):
        literal = template[position : token.start()]
        position = token.end()
        if token[0] == "{{{{":
            yield literal + "{{", None
            continue
        if token["macro"] is None:
            near = template[token.start() : token.start() + 20]
            raise ValueError(
                f'Correct the merge tag at "{near}": write {{{{name}}}} or {{{{name|fallback}}}}.'
            )
        macro = _MACRO.fullmatch(token["macro"])
        if macro is None:
            raise ValueError(f'Enter a field name in the merge tag "{token[0][:20]}": write {{{{name}}}}.')
        yield literal, macro
    yield template[position:], None


def problems(template: str) -> Iterator[str]:
    """What is wrong with a template, in sentences that say what to do."""
    if len(template) > LONGEST_TEMPLATE:
        yield _shorten(len(template), LONGEST_TEMPLATE, " with its merge tags")
        return
    if not template.strip():
        yield "Enter the text of the message."
    if unsendable := next((one for one in template if not _is_printable(one)), ""):
        yield f"Remove the character U+{ord(unsendable):04X}: it can't be sent."
    try:
        literal = sum(
            len(text) + len(macro["default"] or "" if macro else "") for text, macro in _parts(template)
        )
    except ValueError as exc:
        yield str(exc)
    else:
        if literal > LONGEST:
            yield _shorten(literal, LONGEST, "")


def _shorten(length: int, longest: int, of: str) -> str:
    return f"Shorten the text: it has {length:,} characters{of}, and {longest:,} are allowed."


def tags(template: str) -> dict[str, bool]:
    """The names that a template asks for, and whether each has a fallback wherever it stands.

    Raises ValueError for a template that `problems` complains of.
    """
    found: dict[str, bool] = {}
    for _, macro in _parts(template):
        if macro:
            found[macro["name"]] = found.get(macro["name"], True) and macro["default"] is not None
    return found


def render(template: str, fields: Mapping[str, Any], known: Mapping[str, str]) -> str:
    """The message to one contact: its custom fields, and what is `known` (BUILT_IN), in the template.

    At most LONGEST characters. Raises ValueError for a template that `problems` complains of.
    """
    text = "".join(
        literal + (_value(macro, fields, known) if macro else "") for literal, macro in _parts(template)
    )
    return text[:LONGEST].strip()


def _value(macro: re.Match[str], fields: Mapping[str, Any], known: Mapping[str, str]) -> str:
    name = macro["name"]
    found = as_text(fields[name]) if name in fields else known.get(name, "")
    # One line, and nothing that is no text: what a client stored must not shape our message.
    words = " ".join("".join(c if _is_printable(c) else " " for c in found).split())
    return words[:LONGEST_VALUE] or macro["default"] or ""


def _is_printable(character: str) -> bool:
    """No control characters but line breaks, no surrogates."""
    return character == "\n" or unicodedata.category(character) not in {"Cc", "Cs"}


# 3GPP TS 23.038, 6.2.1: the default alphabet, and its extension table, whose characters take two places.
_GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_7_EXTENSION = frozenset("\f^{}\\[~]|€")


@dataclass(frozen=True)
class Segments:
    """What a text takes on the air (3GPP TS 23.040, 9.2.3.24.1 for more than one segment)."""

    encoding: str
    """`GSM-7` or `UCS-2`."""
    count: int
    units: int
    """Places taken: septets, or 16-bit units."""

    def __str__(self) -> str:
        return f"{self.encoding}, {self.count} segment{'' if self.count == 1 else 's'}"


def segments(text: str) -> Segments:
    """How a text is encoded, and in how many segments it travels. An empty text takes one."""
    if all(character in _GSM_7 or character in _GSM_7_EXTENSION for character in text):
        widths = [2 if character in _GSM_7_EXTENSION else 1 for character in text]
        return Segments("GSM-7", _count(widths, alone=160, of_many=153), sum(widths))
    widths = [2 if ord(character) > _LAST_OF_ONE_UNIT else 1 for character in text]
    return Segments("UCS-2", _count(widths, alone=70, of_many=67), sum(widths))


def _count(widths: list[int], *, alone: int, of_many: int) -> int:
    """Segments; a character of two places is never cut in two."""
    if sum(widths) <= alone:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > of_many:
            count, used = count + 1, 0
        used += width
    return count
