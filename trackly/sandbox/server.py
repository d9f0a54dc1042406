"""The stub that the sandbox asks instead of providers: a real HTTP server on the loopback.

`python -m trackly.sandbox.server PORT [ADDRESS]`, on the loopback unless an address is given. Two questions,
each answered with a small JSON object:

- `GET /carrier/<number>`: `{"in_service", "line_type", "carrier", "timezone"}`
- `GET /validation/<number>`: `{"valid", "in_service", "line_type", "carrier", "ported", "on_dnc", "country"}`

404 for a carrier look-up of a number that is not in the table (those come from metadata).
"""

import json
import re
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from trackly.sandbox.numbers import CARRIER, NUMBERS, TIMEZONE, Number

_PATH = re.compile(r"/(carrier|validation)/(\+[0-9]{2,15})")
HANG_SECONDS = 60
"""How long "never answers" holds the connection: longer than any client waits."""


class Stub(ThreadingHTTPServer):
    """The server, and what it has been asked: `asked[("carrier", "+1…")]`."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        super().__init__((address, port), Handler)

    def count(self, question: str, number: str) -> int:
        """Note a question; how often it has been asked with this one."""
        with self._lock:
            self.asked[question, number] += 1
            return self.asked[question, number]

    def shutdown(self) -> None:
        self.stopping.set()
        super().shutdown()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def do_GET(self) -> None:
        match = _PATH.fullmatch(self.path.replace("%2B", "+"))
        if match is None or (match[1] == "carrier" and match[2] not in NUMBERS):
            self._answer(404, {"error": "unknown number or path"})
            return
        question, asked_for = match.groups()
        number = NUMBERS.get(asked_for, Number())
        times = self.server.count(question, asked_for)
        behaviour = number.carrier_lookup if question == "carrier" else number.validation
        if behaviour == "hangs":
            self.server.stopping.wait(HANG_SECONDS)
            self.close_connection = True
        elif behaviour == "fails_once" and times % 2:
            self._answer(503, {"error": "try again"})
        elif question == "carrier":
            self._answer(200, _carrier_facts(number))
        else:
            self.server.stopping.wait(number.validation_delay)
            self._answer(200, _validation_facts(number))

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Say nothing: the line would hold the phone number."""


def _carrier_facts(number: Number) -> dict[str, Any]:
    return {
        "in_service": number.in_service,
        "line_type": number.line_type,
        "carrier": CARRIER,
        "timezone": TIMEZONE,
    }


def _validation_facts(number: Number) -> dict[str, Any]:
    return {
        "valid": number.valid,
        "in_service": number.validated_in_service,
        "line_type": number.validated_line_type or number.line_type,
        "carrier": CARRIER,
        "ported": number.ported,
        "on_dnc": number.on_dnc,
        "country": "US",
    }


def main() -> None:
    server = Stub(int(sys.argv[1]), *sys.argv[2:3])
    print("sandbox stub on http://{}:{}".format(*server.server_address[:2]), flush=True)  # noqa: T201 - for whoever starts it
    server.serve_forever()


if __name__ == "__main__":
    main()
