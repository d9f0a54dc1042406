"""One Redis client a process, for hints: nothing in Redis is worth more than a little time."""

from functools import cache

import redis
from django.conf import settings


@cache
def client() -> redis.Redis:
    """The process's client. Raises redis.RedisError within two seconds where Redis is away or frozen."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2)
