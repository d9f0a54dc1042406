"""A distributed rate limiter (GCRA, in Redis): how often all workers together ask a service.

Without Redis each process keeps to the rate by itself.
"""

import asyncio
import math
import random
import time
from typing import Any

import redis.asyncio
import redis.exceptions
import structlog
from django.conf import settings

logger = structlog.get_logger(__name__)

# Of the two keys, in seconds by Redis' own clock, one holds the time of the next slot, the other until when
# the limiter is paused. A slot is granted only if it is near: a process could end before one that is far off.
_TURN = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local paused = tonumber(redis.call('GET', KEYS[2]) or '0')
if paused > now then return '0 ' .. string.format('%.6f', paused - now) end
local turn = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local near = turn - now <= tonumber(ARGV[2])
if near and tonumber(ARGV[1]) > 0 then
    local next = turn + tonumber(ARGV[1])
    redis.call('SET', KEYS[1], string.format('%.6f', next), 'PX', math.ceil((next - now) * 1000) + 1000)
end
return (near and '1 ' or '0 ') .. string.format('%.6f', turn - now)
"""
_PAUSE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local paused = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now + tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.6f', paused), 'PX', math.ceil((paused - now) * 1000) + 1000)
return string.format('%.6f', paused - now)
"""
_NEAR_SECONDS = 1.0
_LOOK_SECONDS = 0.5
"""How old a process's knowledge of a pause may be, where there is no rate to keep."""
_QUIET_SECONDS = 5.0
"""How long Redis is left alone after it failed."""


class Limit:
    """Used from one event loop. `rate`: requests a second; 0: no limit, apart from pauses."""

    def __init__(self, name: str, *, rate: float) -> None:
        self._keys = [f"trackly:outbound:{name}:turn", f"trackly:outbound:{name}:pause"]
        self._interval = 1 / rate if rate else 0.0
        self._redis = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2, single_connection_client=True
        )
        self._turn = self._redis.register_script(_TURN)
        self._pause = self._redis.register_script(_PAUSE)
        self._one_at_a_time = asyncio.Lock()
        self._own_next = self._paused_until = 0.0
        self._looked_at = self._redis_failed_at = -math.inf

    async def turn(self) -> None:
        """Wait until a request may be sent."""
        while True:
            if (paused := self._paused_until - time.monotonic()) > 0:
                await asyncio.sleep(paused)
            elif not self._interval and time.monotonic() - self._looked_at < _LOOK_SECONDS:
                return  # no rate to keep, and no pause known
            else:
                self._looked_at = time.monotonic()
                granted, seconds = await self._ask()
                if granted:
                    await asyncio.sleep(seconds)
                    return
                # Not all at once, and not often: each of hundreds may be waiting.
                await asyncio.sleep(max(0.5, seconds - _NEAR_SECONDS) * random.uniform(1, 1.5))

    async def pause(self, seconds: float) -> None:
        """Pause the limiter for so long, through Redis in all processes: the service asked for it."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)
        await self._shared(self._pause, [self._keys[1]], [seconds])

    async def _ask(self) -> tuple[bool, float]:
        """Whether a slot is granted, and in how many seconds it begins, or would begin."""
        answer = await self._shared(self._turn, self._keys, [self._interval, _NEAR_SECONDS])
        if answer is not None:
            granted, seconds = answer.decode().split()
            return granted == "1", float(seconds)
        now = time.monotonic()
        turn = max(now, self._own_next)
        near = turn - now <= _NEAR_SECONDS
        if near:
            self._own_next = turn + self._interval
        return near, turn - now

    async def _shared(self, script: Any, keys: list[str], arguments: list[float]) -> bytes | None:
        """What Redis answers; None where it is away, or was a moment ago.

        In a task of its own: cancelling the caller meanwhile would leave half an answer on the connection.
        """
        return await asyncio.shield(asyncio.ensure_future(self._ask_redis(script, keys, arguments)))

    async def _ask_redis(self, script: Any, keys: list[str], arguments: list[float]) -> bytes | None:
        async with self._one_at_a_time:
            if time.monotonic() - self._redis_failed_at < _QUIET_SECONDS:
                return None
            try:
                answer: bytes = await script(keys=keys, args=arguments)
            except (redis.exceptions.RedisError, OSError) as exc:
                self._redis_failed_at = time.monotonic()
                logger.warning("rate_limit_unshared", error=type(exc).__name__)
                return None
            return answer

    async def close(self) -> None:
        await self._redis.aclose()
