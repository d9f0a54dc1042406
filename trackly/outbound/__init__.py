"""HTTP to services outside: one discipline for all of them."""

from trackly.outbound.calling import Caller, caller, check_status, read_as
from trackly.outbound.errors import NoTurn, OutboundError, TooFast, Verdict
from trackly.outbound.http import OK, Request, Response, basic
from trackly.outbound.retry import backoff, retry_after
from trackly.outbound.ticks import in_ticks

__all__ = [
    "OK",
    "Caller",
    "NoTurn",
    "OutboundError",
    "Request",
    "Response",
    "TooFast",
    "Verdict",
    "backoff",
    "basic",
    "caller",
    "check_status",
    "in_ticks",
    "read_as",
    "retry_after",
]
