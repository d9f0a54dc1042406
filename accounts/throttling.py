"""The account's own rate limit (contract, "Every request"): off unless it is set, on the account's page."""

import time
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from accounts.authentication import account_of
from core.http.errors import ApiError
from core.redis_client import client

logger = structlog.get_logger(__name__)

WINDOW_SECONDS = 60


@dataclass(frozen=True)
class Quota:
    """How much of this minute's quota is left, and in how many seconds the next one begins."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers (version 10) has them: quota, window; remaining, time."""
        return {
            "RateLimit-Policy": f'"account";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"account";r={self.remaining};t={self.reset_seconds}',
        }


class AccountThrottle(BaseThrottle):
    """Counts an account's requests of each minute, in Redis; without Redis every request is allowed."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        account = account_of(request)
        if account.requests_per_minute is None:
            return True
        try:
            used, reset_seconds = count_in_window(str(account.pk))
        except redis.RedisError as exc:
            logger.warning("rate_limit_unknown", exc_info=exc)
            return True
        limit = account.requests_per_minute
        quota = Quota(limit, max(0, limit - used), reset_seconds)
        plain: Any = request._request
        plain.quota = quota
        if used > limit:
            raise ApiError(
                429,
                "rate_limited",
                f"More than {limit} requests in a minute. Try again in {reset_seconds} s.",
                {"Retry-After": str(reset_seconds)},
            )
        return True


def count_in_window(name: str) -> tuple[int, int]:
    """Count a request of this name; how many there were in this minute, and how many seconds of it are left.

    Raises redis.RedisError.
    """
    now = int(time.time())
    key = f"trackly:rate:{name}:{now // WINDOW_SECONDS}"
    with client().pipeline() as pipe:
        pipe.incr(key)
        pipe.expire(key, WINDOW_SECONDS * 2)
        used = int(pipe.execute()[0])
    return used, WINDOW_SECONDS - now % WINDOW_SECONDS


def tell(request: Request, response: HttpResponseBase) -> None:
    """Put the quota that the request was counted against into its answer's headers."""
    quota: Quota | None = getattr(request._request, "quota", None)
    if quota is not None:
        for name, value in quota.headers().items():
            response[name] = value
