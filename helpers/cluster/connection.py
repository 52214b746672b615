"""Connections to Redis with timeouts, and its address without the password."""

import ipaddress
import re
from urllib.parse import parse_qs, urlsplit

import redis

from helpers.cluster.errors import RedisUnreachable
from helpers.cluster.refusals import check_serves, is_away, translated
from helpers.settings.errors import ConfigError


def connect(url: str) -> redis.Redis:
    """Return a client for `url` that returns bytes. It connects at the first command.

    Raises:
        ConfigError: `url` is not a Redis address, or Celery could not use it.
    """
    try:
        _check_form(url)
        return redis.Redis.from_url(
            url,
            decode_responses=False,
            socket_timeout=60,
            socket_connect_timeout=10,
            health_check_interval=30,
        )
    except ValueError:  # its text may contain part of the password
        raise ConfigError(
            f"REDIS_URL: received {redact(url)!r}; expected redis://host:port/0 or "
            "rediss://user:password@host:port/0; in the password write %2F for /, %40 for @, %3A for :, "
            "%23 for #, %3F for ?, %25 for %"
        ) from None


def _check_form(url: str) -> None:
    """Raise ValueError for an address that redis-py takes and Celery does not, such as one of a Unix socket,
    and for a database that is not a number: redis-py would silently take 0.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix" or {"db", "username", "password"} & parse_qs(parts.query).keys():
        raise ValueError(parts.scheme)
    number = parts.path.strip("/")
    if parts.scheme in ("redis", "rediss") and number and not re.fullmatch(r"[0-9]{1,9}", number):
        raise ValueError(number)


def redact(url: str) -> str:
    """Return the address, well formed or not, with every password replaced by `***`."""
    url = re.sub(r"(?<=://)([^:/@?#]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"(?<=password=)[^&]*", "***", url)


def answers(client: redis.Redis) -> bool:
    """Return whether Redis answers a PING."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def check_reachable(client: redis.Redis) -> None:
    """Check that Redis answers and can serve; see `check_serves`.

    Raises:
        ConfigError: Redis refuses the credentials, has no such database, or its certificate is not trusted.
        RedisUnreachable: names the address, the reason and what to start.
        RedisRefuses: says why it cannot serve.
    """
    try:
        client.ping()
        check_serves(client, address(client))
    except redis.RedisError as error:
        check_not_refused(client, error)
        if not is_away(error) or isinstance(error, redis.BusyLoadingError):
            raise translated(error, address(client)) from None
        tls = client.connection_pool.connection_class is redis.SSLConnection
        port = client.connection_pool.connection_kwargs.get("port", 6379)
        option = f" --port {port}" if port != 6379 and is_on_this_machine(client) else ""
        raise RedisUnreachable(
            f"Redis at {address(client)} does not answer ({error}). Start it (`redis-server{option}`, or "
            "`python run.py up --workers 3` for Redis and workers together), or set REDIS_URL"
            + (" (does the server use TLS, and do the certificates fit? See docs/security.md)" if tls else "")
        ) from None


def check_not_refused(client: redis.Redis, error: redis.RedisError) -> None:
    """Raise for an error that waiting cannot fix; a Redis that is only away may come back.

    Raises:
        ConfigError: user, password, permissions or certificates are wrong.
    """
    refusals = redis.AuthenticationError | redis.exceptions.NoPermissionError
    if isinstance(error, refusals) or "certificate verify failed" in str(error):
        raise ConfigError(
            f"REDIS_URL: access denied by Redis at {address(client)} ({error}). Check the user, password and "
            "certificates in it; docs/security.md describes them"
        ) from None


def address(client: redis.Redis) -> str:
    """Return the host and port of a client, without user and password."""
    settings = client.connection_pool.connection_kwargs
    return f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"


def is_on_this_machine(client: redis.Redis) -> bool:
    """Return whether a client connects to a loopback address."""
    host = client.connection_pool.connection_kwargs.get("host", "localhost")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a host name
        return False
