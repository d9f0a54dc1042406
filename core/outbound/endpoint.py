"""What a response says where the service's own codes say nothing, and what to check about it.

Only what a service documents is its answer. Anything else may come from somewhere else: a wrong URL, a
firewall, a captive portal.
"""

from dataclasses import dataclass
from typing import NoReturn, TypeVar

import msgspec

from core.outbound.errors import Failure, OutboundError, RateLimited
from core.outbound.retry import retry_after
from core.outbound.session import INTERNAL_SERVER_ERROR, OK, TOO_MANY_REQUESTS, Response

T = TypeVar("T")

_REFUSED = (401, 402, 403)
_IN_TROUBLE = (408, 425)  # RFC 9110, RFC 8470; and everything from 500 on


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a service is asked, as error messages name it; nothing of it depends on the number."""

    name: str
    """The service."""
    path: str
    address: str
    """The setting that holds the base URL."""
    credentials: str
    """The settings that hold the credentials."""

    def read(self, response: Response, model: type[T]) -> T:
        """A response's JSON body. Raises OutboundError for one that is none, or another."""
        try:
            return msgspec.json.decode(response.content, type=model)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise OutboundError(self._strange_body(response), Failure.RETRYABLE) from exc

    def undocumented(self, response: Response) -> NoReturn:
        """The body is JSON of the right shape, and still not what the service documents for the question."""
        raise OutboundError(self._strange_body(response), Failure.RETRYABLE)

    def refused(self, why: object) -> NoReturn:
        """The service refuses us: it will answer nothing before the credentials or the account change."""
        raise OutboundError(
            f"{self.name} refused with {why}: check {self.credentials}", Failure.MISCONFIGURED
        )

    def rate_limited(self, response: Response) -> NoReturn:
        """Raise RateLimited: the service has reported that its rate is exceeded."""
        raise RateLimited(retry_after(response.headers.get("Retry-After")))

    def check_status(self, response: Response, *, code: object = None) -> None:
        """Raise what a status other than 200 means, RateLimited or OutboundError. `code`: an error code."""
        status = response.status
        if status == OK:
            return
        if status == TOO_MANY_REQUESTS:
            self.rate_limited(response)
        said = f"{self.name} answered {status}" + (f" (error {code})" if code else "")
        if status in _IN_TROUBLE or status >= INTERNAL_SERVER_ERROR:
            raise OutboundError(said, Failure.RETRYABLE)
        check = f"{self.credentials} and {self.address}" if status in _REFUSED else self.address
        raise OutboundError(f"{said} to {self.path}: check {check}", Failure.MISCONFIGURED)

    def _strange_body(self, response: Response) -> str:
        kind = response.headers.get("Content-Type", "no content type")[:60]
        return (
            f"{self.name} answered {response.status} to {self.path} with a body that it does not document"
            f" ({kind}): check {self.address}"
        )
