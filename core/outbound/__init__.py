"""HTTP to services outside: one discipline for all of them."""

from core.outbound.calling import Caller, caller
from core.outbound.endpoint import Endpoint
from core.outbound.errors import Failure, OutboundError, RateLimited, RateLimitTimeout
from core.outbound.retry import backoff, retry_after
from core.outbound.session import OK, Permit, Request, Response, basic
from core.outbound.ticks import boot_clock, in_ticks

__all__ = [
    "OK",
    "Caller",
    "Endpoint",
    "Failure",
    "OutboundError",
    "Permit",
    "RateLimitTimeout",
    "RateLimited",
    "Request",
    "Response",
    "backoff",
    "basic",
    "boot_clock",
    "caller",
    "in_ticks",
    "retry_after",
]
