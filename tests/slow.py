"""A connection of a client that never ends what it began, or never reads what it asked for."""

import socket

UNREAD_REQUESTS = 10
"""So many answers are more than both ends' buffers hold."""


def texts(api_key: str) -> dict[str, str]:
    """What they send, and then are silent: an unfinished head, an unfinished body, unread requests."""
    key = f"Host: localhost\r\nX-Api-Key: {api_key}\r\n"
    post = f"POST /api/v2/contacts/bulk HTTP/1.1\r\n{key}Content-Type: application/json\r\n"
    return {
        "head": f"{post}X-Unfinished: ",
        "body": f'{post}Content-Length: 4000000\r\n\r\n{{"contacts": [',
        "never read": f"GET /api/v2/openapi.json HTTP/1.1\r\n{key}\r\n" * UNREAD_REQUESTS,
    }


def connect(port: int, sent: str, *, patience: float) -> socket.socket:
    """A connection on which this has been sent; it takes in little of an answer.

    Raises OSError where the server does not take it within `patience` seconds.
    """
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(patience)
        made.connect(("127.0.0.1", port))
        made.sendall(sent.encode())
    except OSError:
        made.close()
        raise
    return made
