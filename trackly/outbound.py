"""HTTP to services outside: one time-out, one retry policy, one error that carries the decision."""

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

import httpx
import msgspec
from django.conf import settings

T = TypeVar("T")
_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}


class OutboundError(Exception):
    """The service gave no usable answer. `transient`: the same question may be answered later."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


def backoff(tried: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds before the next try, after `tried` failed ones: doubling from 0.2 to 5, half of it jitter."""
    cap: float = min(5.0, 0.2 * 2 ** (tried - 1))
    return cap / 2 + uniform(0, cap / 2)


async def get(client: httpx.AsyncClient, url: str, model: type[T]) -> T:
    """GET `url` until it is answered, TRACKLY_LOOKUP_TRIES times at most; its body, read as `model`.

    Raises OutboundError, which names no URL: that holds a phone number.
    """
    tried = 0
    while True:
        tried += 1
        try:
            return await _get_once(client, url, model)
        except OutboundError as exc:
            if not exc.transient or tried >= settings.TRACKLY_LOOKUP_TRIES:
                raise
        await asyncio.sleep(backoff(tried))


async def _get_once(client: httpx.AsyncClient, url: str, model: type[T]) -> T:
    try:
        response = await client.get(url, timeout=settings.TRACKLY_LOOKUP_TIMEOUT)
    except httpx.HTTPError as exc:
        raise OutboundError(f"no answer: {type(exc).__name__}", transient=True) from exc
    if response.status_code != httpx.codes.OK:
        transient = response.status_code in _WORTH_ANOTHER_TRY
        raise OutboundError(f"answered {response.status_code}", transient=transient)
    try:
        return msgspec.json.decode(response.content, type=model)
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        raise OutboundError(f"answered nonsense: {exc}", transient=True) from exc
