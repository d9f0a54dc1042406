"""A Twilio Messages API on the loopback: what the gateway asks of it, and no more.

https://www.twilio.com/docs/messaging/api/message-resource; the numbers that it refuses are those of
https://www.twilio.com/docs/iam/test-credentials#test-sms-messages. It keeps what it takes until its end, and
takes the same message as often as it comes: Twilio has no idempotency keys either.
"""

import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from devstack.sandbox.faults import BLOCKED, Faults

Form = Mapping[str, str]
Answer = tuple[int, dict[str, Any]]
"""Status and body."""

PATH = re.compile(r"/2010-04-01/Accounts/([A-Za-z0-9]+)/Messages\.json")
_NOT_TAKEN = {"429", "500", *BLOCKED}
"""Faults that are answered instead of taking the message."""
_REQUIRED = {"To": 21604, "From": 21603, "Body": 21602}
_REFUSED_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
_REFUSED_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
_WORDS = {
    20003: "Authenticate",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid 'From' Number",
    21408: "Permission to send an SMS has not been enabled for the region",
    21602: "Message body is required",
    21603: "A 'From' phone number is required",
    21604: "A 'To' phone number is required",
    21606: "The 'From' phone number is not a valid message-capable number of your account",
    21610: "Attempt to send to unsubscribed recipient",
    21611: "This 'From' number has exceeded the maximum number of queued messages",
    21612: "The 'To' phone number is not currently reachable using the 'From' phone number",
    21614: "'To' number is not a valid mobile number",
}
_PAGE_SIZE, _LARGEST_PAGE = 50, 1000


class Messages:
    """Its messages, in memory: `taken`, each as Twilio shows it, oldest first. `clock` tells the time."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.taken: list[dict[str, Any]] = []
        self.hides_texts = self.hides_digits = False
        """As an account with message redaction has it: of all that the list shows."""
        self.clock = clock
        self._lock = threading.Lock()

    def post(self, account: str, form: Form) -> Answer:
        """Take a message, or refuse it as Twilio would."""
        for name, code in _REQUIRED.items():
            if name not in form:
                return error(400, code)
        refused = _REFUSED_TO.get(form["To"]) or _REFUSED_FROM.get(form["From"])
        if refused:
            return error(400, refused)
        with self._lock:
            self.taken.append(made := self._message(account, form))
        return 201, made

    def takes(self, fault: str | None, faults: Faults) -> bool:
        """Whether a message that meets `fault` is taken all the same; for a reset, a draw decides."""
        if fault == "reset":
            return not faults.dead and faults.toss()
        return fault not in _NOT_TAKEN

    def page(self, account: str, query: Form) -> Answer:
        """The newest messages from and to these numbers: the first page."""
        size = min(int(query.get("PageSize", _PAGE_SIZE)), _LARGEST_PAGE)
        with self._lock:
            matching = [
                message
                for message in map(self._shown, reversed(self.taken))
                if query.get("To", message["to"]) == message["to"]
                and query.get("From", message["from"]) == message["from"]
            ]
        found = matching[:size]
        path = f"/2010-04-01/Accounts/{account}/Messages.json?PageSize={size}&Page=0"
        return 200, {
            "messages": found,
            "page": 0,
            "page_size": size,
            "start": 0,
            "end": max(0, len(found) - 1),
            "uri": path,
            "first_page_uri": path,
            "next_page_uri": None if len(matching) <= size else path.replace("&Page=0", "&Page=1"),
            "previous_page_uri": None,
        }

    def _shown(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message as the list has it; one whose digits are hidden is found by no recipient."""
        hidden = {"body": ""} if self.hides_texts else {}
        if self.hides_digits:
            hidden["to"] = f"{message['to'][:-4]}XXXX"
        return {**message, **hidden}

    def counted(self) -> dict[str, int]:
        """How many messages were taken, by the number that they go to."""
        with self._lock:
            return dict(Counter(message["to"] for message in self.taken))

    def _message(self, account: str, form: Form) -> dict[str, Any]:
        sid, now = f"SM{secrets.token_hex(16)}", format_datetime(self.clock())
        return {
            "sid": sid,
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": form["Body"],
            "to": form["To"],
            "from": form["From"],
            "messaging_service_sid": None,
            "status": "queued",
            "direction": "outbound-api",
            "date_created": now,
            "date_updated": now,
            "date_sent": None,
            "error_code": None,
            "error_message": None,
            "num_media": "0",
            "num_segments": "1",
            "price": None,
            "price_unit": "USD",
            "uri": f"/2010-04-01/Accounts/{account}/Messages/{sid}.json",
        }


def error(status: int, code: int) -> Answer:
    """An error as Twilio's API answers it."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return status, {"code": code, "message": _WORDS[code], "more_info": more, "status": status}
