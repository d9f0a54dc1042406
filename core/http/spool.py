"""Answers that are made piece by piece: what does not fit into memory's share is a temporary file."""

from collections.abc import Iterable, Iterator, Mapping
from tempfile import TemporaryFile
from typing import IO

from django.conf import settings
from django.http import FileResponse, HttpResponse, HttpResponseBase

from core import codec

_READ_BYTES = 65_536


def spooled(
    pieces: Iterable[bytes],
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> HttpResponseBase:
    """A complete answer of these pieces, with its `Content-Length`.

    At most TRACKLY_PAGE_MEMORY bytes of it (and one piece) are in memory at a time; of a larger one all is
    in a file without a name, which ends with the answer. It is complete before its head is sent: what fails
    on the way is an error of its own, not half a page.
    """
    begun, rest = bytearray(), iter(pieces)
    for piece in rest:
        begun += piece
        if len(begun) > settings.TRACKLY_PAGE_MEMORY:
            return _from_file(begun, rest, content_type, headers)
    return HttpResponse(bytes(begun), content_type=content_type, headers=dict(headers or {}))


def _from_file(
    begun: bytearray, rest: Iterator[bytes], content_type: str, headers: Mapping[str, str] | None
) -> FileResponse:
    file: IO[bytes] = TemporaryFile()  # noqa: SIM115 - the answer closes it
    try:
        file.write(begun)
        file.writelines(rest)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    answer = FileResponse(file, content_type=content_type, headers=dict(headers or {}))
    answer.block_size = _READ_BYTES
    return answer


def with_array(
    before: Mapping[str, object], name: str, items: Iterable[bytes], after: Mapping[str, object]
) -> Iterator[bytes]:
    """The pieces of a JSON object: the members `before`, an array of encoded items, the members `after`."""
    opening, closing = codec.encode(before)[:-1], codec.encode(after)[1:]
    yield opening + (b"," if before else b"") + codec.encode(name) + b":["
    separator = b""
    for item in items:
        yield separator + item
        separator = b","
    yield b"]" + (b"," if after else b"") + closing
