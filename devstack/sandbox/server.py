"""The stub that the sandbox asks instead of providers: a real HTTP server on the loopback.

`python -m devstack.sandbox.server PORT [ADDRESS]`, on the loopback unless an address is given. It speaks as

- Twilio Lookup v2: `GET /v2/PhoneNumbers/<number>`, with the table's carrier look-ups;
- Telnyx Number Lookup: `GET /v2/number_lookup/<number>`, with its paid validations;
- RealPhoneValidation's DNC Lookup: `POST /rpvWebService/DNCLookup.php`;
- Twilio's Messages API: `/2010-04-01/Accounts/<sid>/Messages.json` (devstack.sandbox.messages);
- Stripe: `/v1/…` (devstack.sandbox.stripe), with a page at `/checkout/<session>` that gives a test card.

Numbers that are not in the table are mobiles in service. `PUT /control` with a JSON object of faults.Faults'
members makes things go wrong, `GET /control` says what was asked how often and what became of it, and how
many messages to each number were taken.
"""

import json
import re
import socket
import struct
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from devstack.sandbox import messages, wire
from devstack.sandbox.faults import BLOCKED, Faults, Log
from devstack.sandbox.messages import Messages
from devstack.sandbox.stripe import Stripe, signature
from lookups.sandbox import NUMBERS, Number

_TWILIO = re.compile(r"/v2/PhoneNumbers/(\+[0-9]{2,15})")
_TELNYX = re.compile(r"/v2/number_lookup/(\+[0-9]{2,15})")
_DO_NOT_CALL = "/rpvWebService/DNCLookup.php"
_CHECKOUT = re.compile(r"/checkout/(cs_[0-9]+)")
_CHECKOUT_PAGE = """<!doctype html><title>Sandbox: Stripe Checkout</title>
<h1>Stripe Checkout, as the sandbox has it</h1>
<form method="post"><button>Give the test card 4242 4242 4242 4242</button></form>"""
WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - as trackly.settings has it in the sandbox
_SERVICES = {"twilio": wire.twilio, "telnyx": wire.telnyx, "do_not_call": wire.do_not_call}
HANG_SECONDS = 60
"""How long "never answers" holds the connection: longer than any client waits."""


class Stub(ThreadingHTTPServer):
    """The server: what it has been asked, and what is to go wrong."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.log = Log()
        self.faults = Faults()
        self.stripe = Stripe()
        self.messages = Messages()
        self.stopping = threading.Event()
        self.at_once = 0
        self._counting = threading.Lock()
        super().__init__((address, port), Handler)

    def asked(self, service: str, number: str) -> int:
        """How often `service` (twilio, telnyx, do_not_call) was asked about the number."""
        return self.log.asked(service, number)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have hung up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def count(self, change: int) -> None:
        """A question comes (1) or is answered (-1)."""
        with self._counting:
            self.at_once += change

    def shutdown(self) -> None:
        self.stopping.set()
        super().shutdown()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet
    server: Stub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/control":
            self._answer(200, {**self.server.log.as_json(), "messages": self.server.messages.counted()})
        elif match := _TWILIO.fullmatch(path):
            self._serve("twilio", match[1])
        elif match := _TELNYX.fullmatch(path):
            self._serve("telnyx", match[1])
        elif path.startswith("/v1/"):
            self._stripe(_first(urlsplit(self.path).query))
        elif match := messages.PATH.fullmatch(path):
            self._messages(match[1], _first(urlsplit(self.path).query))
        elif match := _CHECKOUT.fullmatch(path):
            self._send(200, _CHECKOUT_PAGE.encode(), {}, kind="text/html; charset=utf-8")
        else:
            self._answer(404, {"error": "unknown path"})

    def do_POST(self) -> None:
        form = _first(self._body().decode())
        if urlsplit(self.path).path == _DO_NOT_CALL and "phone" in form:
            self._serve("do_not_call", f"+1{form['phone']}")
        elif self.path.startswith("/v1/"):
            self._stripe(form)
        elif match := messages.PATH.fullmatch(self.path):
            self._messages(match[1], form)
        elif match := _CHECKOUT.fullmatch(self.path):
            self._check_out(match[1])
        else:
            self._answer(404, {"error": "unknown path"})

    def do_DELETE(self) -> None:
        if self.path.startswith("/v1/"):
            self._stripe(_first(urlsplit(self.path).query))
        else:
            self._answer(404, {"error": "unknown path"})

    def do_PUT(self) -> None:
        try:
            self.server.faults = Faults(**json.loads(self._body()))
        except (TypeError, ValueError) as exc:
            self._answer(400, {"error": str(exc)})
        else:
            self._answer(200, {"ok": True})

    def _stripe(self, form: dict[str, str]) -> None:
        path = urlsplit(self.path).path
        status, body = self.server.stripe.answer(self.command, path, form, dict(self.headers))
        if "url" in body and str(body["url"]).startswith("/checkout/"):
            body = {**body, "url": f"http://{self.headers['Host']}{body['url']}"}
        self._answer(status, body)

    def _messages(self, account: str, form: dict[str, str]) -> None:
        """Take a message or list them; what goes wrong does so before it is taken, or after."""
        faults, taking = self.server.faults, self.server.messages
        if not self.headers.get("Authorization", "").startswith("Basic "):
            self._answer(*messages.error(401, 20003))
            return
        posts = self.command == "POST"
        fault = faults.draw()
        status, body = 200, dict[str, Any]()
        if not posts:
            status, body = taking.page(account, form)
        elif taking.takes(fault, faults):
            status, body = taking.post(account, form)
        outcome = fault or ("ok" if status < 400 else str(body["code"]))  # an error of Twilio's
        self.server.log.note("messages" if posts else "messages_list", form.get("To", ""), outcome)
        self.server.count(1)
        if faults.delay and fault != "reset":
            self.server.stopping.wait(faults.delay)
        self.server.count(-1)
        if fault is None:
            self._answer(status, body)
        else:
            self._fail("messages", fault, json.dumps(body).encode(), status)

    def _check_out(self, session_id: str) -> None:
        """The customer has entered a card: tell the product, and redirect the customer to it."""
        target, body = self.server.stripe.complete(session_id)
        signed = {"Stripe-Signature": signature(body, WEBHOOK_SECRET), "Content-Type": "application/json"}
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(urllib.request.Request(target, data=body, headers=signed), timeout=10)
        back = self.server.stripe.objects[session_id]["success_url"]
        self._send(303, b"", {"Location": back})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _serve(self, service: str, asked_for: str) -> None:
        faults = self.server.faults
        number = NUMBERS.get(asked_for, Number())
        fault = faults.draw()
        behaviour = {"twilio": number.carrier_lookup, "telnyx": number.validation}.get(service, "answers")
        if fault is None and behaviour == "hangs":
            fault = "timeout"
        if fault is None and behaviour == "fails_once" and self.server.asked(service, asked_for) % 2 == 0:
            fault = "500"
        self.server.log.note(service, asked_for, fault or "ok")
        self.server.count(1)
        delay = faults.delay + (number.validation_delay if service == "telnyx" else 0)
        if delay and fault != "reset":
            self.server.stopping.wait(delay)
        self.server.count(-1)
        status, body = _SERVICES[service](asked_for, number)
        if fault is None:
            self._answer(status, body)
        else:
            self._fail(service, fault, json.dumps(body).encode())

    def _fail(self, service: str, fault: str, body: bytes, status: int = 200) -> None:
        if fault == "429":
            headers = {"Retry-After": f"{self.server.faults.retry_after:.0f}"}
            self._answer(429, wire.error(service, 429), headers)
        elif fault == "500":
            self._answer(500, wire.error(service, 500))
        elif fault == "nonsense":
            self._send(status, b"<html>\xff\xfe It works!</html>", {})
        elif fault in BLOCKED:
            self._send(int(fault), b"<html>Access denied</html>", {}, kind="text/html")
        elif fault == "half":
            self._send(status, body[: len(body) // 2], {}, promised=len(body))
            self.close_connection = True
        else:
            if fault == "timeout":
                self.server.stopping.wait(HANG_SECONDS)
            self._reset()

    def _reset(self) -> None:
        """End the connection without an answer: a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), headers or {})

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str],
        *,
        promised: int | None = None,
        kind: str = "application/json",
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if promised is None else promised))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The `Date` of an answer: by the clock that its messages' times are by."""
        return super().date_time_string(timestamp or self.server.messages.clock().timestamp())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Say nothing: the line would hold the phone number."""


def _first(encoded: str) -> dict[str, str]:
    """A query's or a form's members, each with its first value."""
    return {name: given[0] for name, given in parse_qs(encoded).items()}


def main() -> None:
    server = Stub(int(sys.argv[1]), *sys.argv[2:3])
    print("sandbox stub on http://{}:{}".format(*server.server_address[:2]), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
