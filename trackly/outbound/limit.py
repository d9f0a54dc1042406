"""How often a service is asked, by all workers together: turns are given out by Redis.

Where Redis is away each process keeps to the rate for itself.
"""

import asyncio
import math
import time

import redis.asyncio
import redis.exceptions
import structlog
from django.conf import settings

logger = structlog.get_logger(__name__)

# The key holds when the next turn is (seconds, by Redis' own clock). A turn is taken by moving it forward by
# the interval between two turns; a pause moves it forward for everybody.
_TURN = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local turn = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local next = math.max(turn + tonumber(ARGV[1]), now + tonumber(ARGV[2]))
if next > now then
    redis.call('SET', KEYS[1], string.format('%.6f', next), 'PX', math.ceil((next - now) * 1000) + 1000)
end
return string.format('%.6f', turn - now)
"""
_LOOK_SECONDS = 0.5
"""How old a process's knowledge of a pause may be, where there is no rate to keep."""
_QUIET_SECONDS = 5.0
"""How long Redis is left alone after it failed."""


class Limit:
    """Used from one event loop. `rate`: turns a second, 0: as many as are asked for."""

    def __init__(self, name: str, *, rate: float) -> None:
        self._key = f"trackly:outbound:{name}"
        self._interval = 1 / rate if rate else 0.0
        self._redis = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2, single_connection_client=True
        )
        self._turn = self._redis.register_script(_TURN)
        self._own_next = self._paused_until = 0.0
        self._looked_at = -math.inf
        self._redis_failed_at = -math.inf

    async def turn(self) -> None:
        """Wait for a turn."""
        if self._interval:
            await asyncio.sleep(await self._move(self._interval, 0.0))
            return
        while True:  # there are turns enough; only pauses are to be kept
            if time.monotonic() - self._looked_at > _LOOK_SECONDS:
                self._looked_at = time.monotonic()
                self._paused_until = time.monotonic() + await self._move(0.0, 0.0)
            if (seconds := self._paused_until - time.monotonic()) <= 0:
                return
            await asyncio.sleep(seconds)

    async def pause(self, seconds: float) -> None:
        """The service asked for it: nobody gets a turn for so long."""
        self._paused_until = time.monotonic() + seconds
        await self._move(0.0, seconds)

    async def _move(self, interval: float, pause: float) -> float:
        """Take a turn, or pause; seconds until the turn."""
        if time.monotonic() - self._redis_failed_at > _QUIET_SECONDS:
            try:
                return float(await self._turn(keys=[self._key], args=[interval, pause]))
            except (redis.exceptions.RedisError, OSError) as exc:
                self._redis_failed_at = time.monotonic()
                logger.warning("rate_limit_unshared", exc_info=exc)
        now = time.monotonic()
        turn = max(now, self._own_next)
        self._own_next = max(turn + interval, now + pause)
        return turn - now

    async def close(self) -> None:
        await self._redis.aclose()
