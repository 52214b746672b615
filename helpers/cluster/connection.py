"""One way to connect to Redis, with time limits, and to speak of its address without the password."""

from urllib.parse import urlsplit

import redis

from helpers.cluster.errors import RedisUnreachable
from helpers.global_config import ConfigError


def connect(url: str) -> redis.Redis:
    """Make a client for `url`; values come back as bytes. The connection opens at the first command.

    Raises:
        ConfigError: `url` is not an address of Redis.
    """
    try:
        return redis.Redis.from_url(
            url,
            decode_responses=False,
            socket_timeout=60,
            socket_connect_timeout=10,
            health_check_interval=30,
        )
    except ValueError as error:
        raise ConfigError(f"REDIS_URL: received {redact(url)!r}: {error}") from None


def redact(url: str) -> str:
    """The same address with the password, if there is one, replaced by `***`."""
    parts = urlsplit(url)
    password_and_host = parts.netloc.rpartition("@")
    if not password_and_host[1]:
        return url
    user = password_and_host[0].partition(":")[0]
    return parts._replace(netloc=f"{user}:***@{password_and_host[2]}").geturl()


def answers(client: redis.Redis) -> bool:
    """Whether Redis answers a PING."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def redis_time(client: redis.Redis) -> float:
    """Seconds since the epoch on Redis' clock, the one clock that all machines of a run share."""
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1e6)


def check_reachable(client: redis.Redis) -> None:
    """Make sure that Redis answers.

    Raises:
        RedisUnreachable: saying where it was looked for, why it failed and what to start.
    """
    try:
        client.ping()
    except redis.RedisError as error:
        raise RedisUnreachable(
            f"Redis at {address(client)} does not answer ({error}). Start it (`redis-server`, or "
            "`python run.py up --workers 3` for Redis and workers together), or set REDIS_URL"
        ) from None


def address(client: redis.Redis) -> str:
    """Host and port (or socket) a client talks to, without user and password."""
    settings = client.connection_pool.connection_kwargs
    return settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
