"""A request's body: is it JSON, is it an object, is it small enough (contract, "Every request")."""

import re

from django.http import HttpRequest

from core import codec
from core.http import request_log
from core.http.errors import ApiError

MAX_BODY_BYTES = 5_000_000
MAX_DEPTH = 500
"""Levels of nesting, the body's object among them. All Pythons decode that many; beyond it they differ."""
_JSON_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;|$)", re.IGNORECASE)


def read_body(request: HttpRequest) -> bytes:
    """The body's bytes. Raises 415 if it is no JSON, 413 if it is larger than 5 MB, declared or actual.

    No more than the limit is ever read; a compressed body is refused, not inflated.
    """
    if not _JSON_TYPE.match(request.content_type or ""):
        raise ApiError(415, "unsupported_media_type", "Content-Type must be application/json.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise ApiError(415, "unsupported_media_type", "Content-Encoding is not supported: send plain JSON.")
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    body: bytes = request.read(MAX_BODY_BYTES + 1)
    request_log.note(bytes_in=len(body))
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def read_object(body: bytes, *, items_of: str = "") -> dict[str, bytes]:
    """The members of the JSON object `body`, each value as the bytes that were sent.

    Raises 400 `invalid_json` for all that is no JSON (RFC 8259: UTF-8, no NaN, no Infinity) or no object, or
    is nested more than MAX_DEPTH levels deep. That is not checked inside the array `items_of`: `read_items`,
    which the caller calls next, does it for less, since a thousand flat items have many brackets.
    """
    members = _split(body)
    array = members.get(items_of, b"")
    # Each level takes two bytes. Around the array there may be another value of the same name.
    around = len(body) - (len(array) if array.startswith(b"[") else 0)
    if around > 2 * MAX_DEPTH and codec.is_deeper(body, MAX_DEPTH):
        raise _nested_too_deeply()
    return members


def read_items(array: bytes) -> list[bytes]:
    """The items of an array that is a member of a body's object, as sent; none if it is no array.

    Raises 400 `invalid_json` if with one of them the body is nested more than MAX_DEPTH levels deep.
    """
    items = codec.split_array(array) if array.startswith(b"[") else []
    within = MAX_DEPTH - 2  # the object and the array are levels, too
    longest = max(map(len, items), default=0)
    if longest > 2 * within and any(codec.is_deeper(item, within) for item in items):
        raise _nested_too_deeply()
    return items


def _split(body: bytes) -> dict[str, bytes]:
    try:
        body.decode()  # msgspec looks at the text only where it decodes it
        return codec.split_object(body)
    except UnicodeDecodeError as exc:
        raise _invalid("is not UTF-8 text") from exc
    except RecursionError as exc:  # deeper than MAX_DEPTH by far
        raise _nested_too_deeply() from exc
    except TypeError as exc:
        raise _invalid(str(exc)) from exc
    except ValueError as exc:
        raise _invalid(f"is not JSON: {exc}") from exc


def _nested_too_deeply() -> ApiError:
    """RFC 8259, 9: an implementation may set limits on the depth of nesting."""
    return _invalid(f"is nested more than {MAX_DEPTH} levels deep")


def _too_large() -> ApiError:
    return ApiError(413, "payload_too_large", f"The request body exceeds {MAX_BODY_BYTES:,} bytes.")


def _invalid(what: str) -> ApiError:
    return ApiError(400, "invalid_json", f"The request body {what}.")
