"""What can become of a question to a service outside, other than an answer."""

from enum import Enum


class Failure(Enum):
    """What an error says of asking again."""

    RETRYABLE = "worth another try"
    """The service, or the way to it, is in trouble."""
    PERMANENT = "this question can't be answered"
    """The service documents that it has no answer to this question, today or tomorrow."""
    AMBIGUOUS = "it may have taken effect"
    """It is unknown whether the request arrived, and sending it again might do it twice."""
    DEFERRED = "not now"
    """The service works, but not for this request before something changes; it has not taken it."""
    MISCONFIGURED = "we are refused"
    """Credentials, permissions, quota, address: nothing that we ask is answered before that is corrected."""


class OutboundError(Exception):
    """The service gave no usable answer. The message names no URL: that holds a phone number."""

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


class RateLimitTimeout(OutboundError):
    """Nothing was sent: the rate limiter granted no slot in time (the rate, a pause, or a standstill)."""

    def __init__(self) -> None:
        super().__init__("no turn in time", Failure.DEFERRED)


class RateLimited(Exception):
    """The service asks to be asked less often (HTTP 429): a wait, not a failed try."""

    def __init__(self, after: float | None = None) -> None:
        super().__init__("too many requests")
        self.after = after
        """Seconds to wait, if the service said so."""
