r"""Taking JSON apart: the quick way, and the slow one for what msgspec refuses."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.codec import is_deeper, split_array, split_object

_text = st.text(st.characters())  # surrogates included
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(_text, _values), st.booleans(), st.sampled_from([None, 1]))
def test_any_object_comes_apart_into_the_bytes_of_its_members(
    value: dict[str, object], ascii_only: bool, indent: int | None
) -> None:
    try:
        body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate has no UTF-8
    members = split_object(body)
    assert {name: json.loads(part) for name, part in members.items()} == value
    assert all(part in body for part in members.values())


@given(st.lists(_values), st.sampled_from([None, 1]))
def test_any_array_comes_apart_into_the_bytes_of_its_items(value: list[object], indent: int | None) -> None:
    body = json.dumps(value, indent=indent).encode()
    items = split_array(body)
    assert [json.loads(item) for item in items] == value
    assert all(item in body for item in items)


def test_what_was_sent_stays_as_it_was_sent() -> None:
    body = rb' { "a" : "\ud800" , "b":[ {"c":"\u0000\ud83d\ude00"} ,1.50 ], "a": "\uD800x" } '
    assert split_object(body) == {"a": rb'"\uD800x"', "b": rb'[ {"c":"\u0000\ud83d\ude00"} ,1.50 ]'}
    assert split_array(rb'[ {"c":"\ud800"} ,1.50, [ ] ]') == [rb'{"c":"\ud800"}', b"1.50", b"[ ]"]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1", rb'["\ud800"]'])
def test_other_json_than_an_object_is_a_type_error(body: bytes) -> None:
    with pytest.raises(TypeError):
        split_object(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800",}',
        b'{"a":"\\ud800"} x',
        b'{"a":01}',
    ],
)
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        split_object(body)


def _deep(levels: int, inner: str = "1") -> bytes:
    """Arrays and objects in turn, that deep."""
    opening = ["[" if level % 2 else '{"a":' for level in range(levels)]
    closing = ["]" if level % 2 else "}" for level in range(levels)]
    return ("".join(opening) + inner + "".join(reversed(closing))).encode()


@pytest.mark.parametrize("levels", [1, 2, 101, 500])
@pytest.mark.parametrize("inner", ["1", r'"[[[{{{\"[[["', r'"]]]\\"', '"' + "[{" * 600 + '"', "[],{}"])
def test_levels_of_nesting_are_counted_whatever_texts_hold(levels: int, inner: str) -> None:
    more = inner == "[],{}"
    inside = f"[{inner}]" if more else inner
    deep = levels + 2 * more
    text = _deep(levels, inside)
    assert not is_deeper(text, deep)
    assert is_deeper(text, deep - 1)


@given(_values, st.sampled_from([None, 1]))
def test_levels_of_any_value_are_counted(value: object, indent: int | None) -> None:
    def levels(part: object) -> int:
        if isinstance(part, dict):
            return 1 + max(map(levels, part.values()), default=0)
        return 1 + max(map(levels, part), default=0) if isinstance(part, list) else 0

    text, deep = json.dumps(value, indent=indent).encode(), levels(value)
    assert not is_deeper(text, deep)
    assert deep == 0 or is_deeper(text, deep - 1)


def test_what_is_wide_is_not_deep() -> None:
    assert not is_deeper(b"[" + b",".join([b"[[]]"] * 10_000) + b"]", 3)
    assert is_deeper(b"[" + b",".join([b"[[]]"] * 10_000) + b"]", 2)


@pytest.mark.parametrize("text", [b'["\\"\\"', b'["a\\', b'["\\\n', b'["\\" [[[', b"[" * 3 + b'"'])
def test_a_string_without_an_end_is_one_string(text: bytes) -> None:
    assert not is_deeper(text + b"[" * 10, 5)
