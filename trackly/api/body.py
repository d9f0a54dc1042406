"""A request's body: is it JSON, is it an object, is it small enough (contract, "Every request")."""

import re

from django.http import HttpRequest

from trackly.api import json, request_log
from trackly.api.errors import ApiError

MAX_BODY_BYTES = 5_000_000
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
    # gunicorn decodes `Transfer-Encoding: chunked` and marks its end; Django would take it for empty.
    terminated = not declared and request.META.get("wsgi.input_terminated")
    stream = request.META["wsgi.input"] if terminated else request
    try:
        body: bytes = stream.read(MAX_BODY_BYTES + 1)
    except Exception as exc:  # whatever the server calls it: chunks that are none, a client that left
        raise _invalid("could not be read to its end") from exc
    request_log.note(bytes_in=len(body))
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def read_object(body: bytes) -> dict[str, bytes]:
    """The members of the JSON object `body`, each value as the bytes that were sent.

    Raises 400 `invalid_json` for all that is no JSON (RFC 8259: UTF-8, no NaN, no Infinity) or no object.
    """
    try:
        body.decode()  # msgspec looks at the text only where it decodes it
        return json.split_object(body)
    except UnicodeDecodeError as exc:
        raise _invalid("is not UTF-8 text") from exc
    except RecursionError as exc:
        raise nested_too_deeply() from exc
    except TypeError as exc:
        raise _invalid(str(exc)) from exc
    except ValueError as exc:
        raise _invalid(f"is not JSON: {exc}") from exc


def nested_too_deeply() -> ApiError:
    """RFC 8259, 9: an implementation may set limits on the depth of nesting. Ours is Python's."""
    return _invalid("is nested too deeply")


def _too_large() -> ApiError:
    return ApiError(413, "payload_too_large", f"The request body exceeds {MAX_BODY_BYTES:,} bytes.")


def _invalid(what: str) -> ApiError:
    return ApiError(400, "invalid_json", f"The request body {what}.")
