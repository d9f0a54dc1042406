"""What is answered without the application: the API's envelope, and the headers that every answer bears."""

import uuid

from core import codec
from core.http.codes import ErrorCode

Headers = list[tuple[bytes, bytes]]


def refusal(code: ErrorCode, message: str, *more: tuple[bytes, bytes]) -> tuple[Headers, bytes]:
    """The headers, `more` among them, and the body of an error (contract, "Every request")."""
    body: bytes = codec.encode({"error": message, "code": code})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", uuid.uuid4().hex.encode()),
        (b"cache-control", b"no-store"),
        *more,
    ]
    return headers, body
