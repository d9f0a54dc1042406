"""Clients that never end what they began hold a socket, and nothing that others need."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests import slow
from tests.conftest import RunningStack
from tests.support import contact, new_numbers

MANY = 200
"""More than the threads of all web processes, many times over."""


def _head(stack: RunningStack, first: str, *more: str) -> str:
    key = stack.shared.headers["X-Api-Key"]
    lines = (first, "Host: localhost", f"X-Api-Key: {key}", "Content-Type: application/json", *more)
    return "".join(f"{line}\r\n" for line in lines)


@contextmanager
def _connections(stack: RunningStack, sent: str) -> Iterator[list[socket.socket]]:
    """Connections that send this much and then are silent."""
    port = int(stack.base.rsplit(":", 1)[1])
    with ExitStack() as opened:
        yield [opened.enter_context(slow.connect(port, sent, patience=60)) for _ in range(MANY)]


def _is_served(stack: RunningStack) -> None:
    """Others are: by each of the processes, whichever takes the connection."""
    for _ in range(20):
        fresh = stack.account() if not stack.clients else stack.shared
        assert fresh.get(f"{stack.base}/healthz").status_code == 200
        assert fresh.get("/jobs").status_code == 200
    summary = stack.shared.summary(*(contact(number) for number in new_numbers(1000)))
    assert summary["success_count"] == 1000


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "POST /api/v2/contacts/bulk HTTP/1.1\r\nHost: loc",
        "body",
        "chunks",
        "never read",
    ],
)
def test_others_are_served_beside_many_that_never_end(stack: RunningStack, sent: str) -> None:
    chunked = _head(stack, "POST /api/v2/contacts/bulk HTTP/1.1", "Transfer-Encoding: chunked", "")
    texts = slow.texts(stack.shared.headers["X-Api-Key"])
    text = {**texts, "chunks": f'{chunked}5\r\n{{"con\r\n'}.get(sent, sent)
    with _connections(stack, text) as held:
        _is_served(stack)
        assert all(connection.fileno() >= 0 for connection in held)


def test_a_body_that_comes_in_pieces_is_put_together(stack: RunningStack) -> None:
    body = json.dumps({"contacts": [contact() for _ in range(3)]}).encode()
    host, port = stack.base.removeprefix("http://").split(":")
    head = _head(stack, "POST /api/v2/contacts/bulk HTTP/1.1", f"Content-Length: {len(body)}", "")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        for piece in (head.encode(), *(body[at : at + 7] for at in range(0, len(body), 7))):
            connection.sendall(piece)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_header_with_an_underscore_does_not_pass_for_one_with_a_hyphen(stack: RunningStack) -> None:
    response = stack.shared.get(
        "/jobs", headers={"X-Api-Key": "", "X_Api_Key": stack.shared.headers["X-Api-Key"]}
    )
    assert response.status_code == 401
