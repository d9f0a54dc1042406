"""HTTP to services outside: one discipline for all of them."""

from trackly.outbound.calling import Caller, caller
from trackly.outbound.endpoint import Endpoint
from trackly.outbound.errors import NoTurn, OutboundError, TooFast, Verdict
from trackly.outbound.http import OK, Permit, Request, Response, basic
from trackly.outbound.retry import backoff, retry_after
from trackly.outbound.ticks import boot_clock, in_ticks

__all__ = [
    "OK",
    "Caller",
    "Endpoint",
    "NoTurn",
    "OutboundError",
    "Permit",
    "Request",
    "Response",
    "TooFast",
    "Verdict",
    "backoff",
    "basic",
    "boot_clock",
    "caller",
    "in_ticks",
    "retry_after",
]
