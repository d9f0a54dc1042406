"""How deep a body may be nested: a limit of ours, the same in every Python."""

import sys

import pytest

from core.http.body import MAX_DEPTH, read_object
from core.http.errors import ApiError
from ingestion.batch import read_batch


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


SHAPES = {
    "a contact": ('{{"contacts": [1, {}]}}', 2),
    "in a contact, one of many": ('{{"contacts": [{{}}, {{"x": [0, {{"y": {}}}]}}, []]}}', 5),
    "with a lone surrogate": ('{{"contacts": [{{"x": "\\ud800", "y": {}}}]}}', 3),
    "another member": ('{{"contacts": [{{}}], "x": {}}}', 1),
    "another member before it": ('{{"x": [1, {}], "contacts": [{{}}]}}', 2),
    "a value that another replaces": ('{{"contacts": {}, "contacts": [{{}}]}}', 1),
    "behind a text full of brackets": ('{{"contacts": ["]]]]]{{{{", "\\"]]]", {}]}}', 2),
    "of no array": ('{{"contacts": {{"x": {}}}}}', 2),
}


@pytest.mark.parametrize(("shape", "around"), SHAPES.values(), ids=SHAPES)
def test_a_batch_is_nested_up_to_the_limit(shape: str, around: int) -> None:
    allowed = shape.format(nested(MAX_DEPTH - around)).encode()
    members = read_object(allowed, items_of="contacts")
    if "contacts" in shape and members["contacts"].startswith(b"["):
        assert read_batch(members).items
    too_deep = shape.format(nested(MAX_DEPTH - around + 1)).encode()
    with pytest.raises(ApiError) as caught:
        read_batch(read_object(too_deep, items_of="contacts"))
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")
    assert caught.value.message == "The request body is nested more than 500 levels deep."


@pytest.mark.parametrize("text", ['{{"x": {}}}', '{{"\\ud800": 1, "x": {}}}', '{{"x": {}, "x": 1}}'])
def test_an_object_is_nested_up_to_the_limit(text: str) -> None:
    assert read_object(text.format(nested(MAX_DEPTH - 1)).encode())
    for levels in (MAX_DEPTH, 2_000, 200_000):  # Python gives up at some of these, at others it does not
        with pytest.raises(ApiError, match="nested more than 500 levels") as caught:
            read_object(text.format(nested(levels)).encode())
        assert caught.value.code == "invalid_json"


def test_the_limit_comes_before_the_number_of_contacts() -> None:
    body = f'{{"contacts": [{"1," * 1000} {nested(MAX_DEPTH)}]}}'.encode()
    with pytest.raises(ApiError) as caught:
        read_batch(read_object(body, items_of="contacts"))
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_python_can_decode_what_is_allowed_with_as_many_calls_around_it_as_a_request_has() -> None:
    def within(calls: int) -> int:
        if calls:
            return within(calls - 1)
        return len(read_object(f'{{"\\ud800": {nested(MAX_DEPTH - 1)}}}'.encode()))

    assert sys.getrecursionlimit() == 1_000
    assert within(200) == 1
