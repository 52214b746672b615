"""What a Redis that cannot serve is, in one true line: a cluster, a replica, full, without that database."""

import contextlib
import re
import secrets
from collections.abc import Iterator

import redis

from helpers.cluster import keys
from helpers.cluster.errors import ClusterError, RedisRefuses, RedisUnreachable
from helpers.settings.errors import ConfigError, UserError

CLUSTER = "it is a Redis Cluster, and Celery needs a single server; set REDIS_URL to one"
KINDS: tuple[tuple[type[redis.RedisError], str], ...] = (
    (redis.ReadOnlyError, "it is a read-only replica; set REDIS_URL to the primary"),
    (redis.OutOfMemoryError, "its memory is full (maxmemory); raise maxmemory, or delete what is not needed"),
    (redis.BusyLoadingError, "it is still loading its data; try again in a moment"),
    (redis.exceptions.MasterDownError, "it is a replica that has lost its primary"),
    (redis.InvalidResponse, "another program than Redis answers there"),
    (redis.exceptions.ClusterDownError, CLUSTER),
    (redis.exceptions.AskError, CLUSTER),
    (redis.exceptions.ClusterCrossSlotError, CLUSTER),
)
TEXTS = (
    (r"MISCONF", "it accepts no writes, as it cannot save its data; is its disk full? Its log says more"),
    (r"READONLY", KINDS[0][1]),
    (r"^OOM|maxmemory", KINDS[1][1]),
    (r"LOADING", KINDS[2][1]),
    (r"NOREPLICAS", "it accepts no writes, as it has too few replicas"),
    (r"CROSSSLOT|CLUSTERDOWN|MOVED|SELECT is not allowed in cluster", CLUSTER),
    (
        r"WRONGTYPE|wrong kind of value",
        "another program uses the keys of this project; set another database in REDIS_URL",
    ),
)
PASSING = r"MISCONF|READONLY|read only replica|^OOM|maxmemory|LOADING|NOREPLICAS|TRYAGAIN|MASTERDOWN"
"""Refusals that may end while one waits: someone frees the disk, or a replica becomes the primary."""


def explain(error: redis.RedisError) -> str:
    """Return what an error of Redis means, in one line."""
    text = " ".join(str(error).split())[:300]
    for kind, meaning in KINDS:
        if isinstance(error, kind):
            return meaning
    return next((meaning for pattern, meaning in TEXTS if re.search(pattern, text)), text)


def is_away(error: redis.RedisError) -> bool:
    """Return whether Redis did not answer, or not yet."""
    is_denied = isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError) and not is_denied


def is_passing(error: redis.RedisError) -> bool:
    """Return whether the error may end while one waits."""
    kinds = redis.ReadOnlyError | redis.OutOfMemoryError | redis.exceptions.MasterDownError
    return is_away(error) or isinstance(error, kinds) or bool(re.search(PASSING, str(error)))


def translated(error: redis.RedisError, place: str) -> ClusterError | UserError:
    """Return the error of this project that says what an error of Redis means.

    Args:
        error: what Redis or its client raised.
        place: address of Redis, without user and password.
    """
    if "DB index" in str(error):
        return ConfigError(
            f"REDIS_URL: Redis at {place} has no database of that number ({error}); the number is the last "
            "part of the address, usually 0 to 15"
        )
    if is_away(error) and not isinstance(error, redis.BusyLoadingError):
        return RedisUnreachable(f"Redis at {place} does not answer ({explain(error)})")
    return RedisRefuses(f"Redis at {place} cannot serve: {explain(error)}")


@contextlib.contextmanager
def translating(place: str) -> Iterator[None]:
    """Raise errors of Redis as `translated` inside this context.

    Raises:
        ClusterError, ConfigError: saying what is wrong.
    """
    try:
        yield
    except redis.RedisError as error:
        raise translated(error, place) from None


def check_serves(client: redis.Redis, place: str) -> None:
    """Check that Redis accepts writes, is a single server and drops no keys.

    What the user of Redis may not ask is not checked.

    Raises:
        RedisRefuses, ConfigError: saying what is wrong.
        redis.ConnectionError, redis.TimeoutError: Redis does not answer.
        redis.AuthenticationError, redis.exceptions.NoPermissionError: access is denied.
    """
    denied = redis.AuthenticationError | redis.exceptions.NoPermissionError
    try:
        client.set(keys.probe(secrets.token_hex(4)), 1, ex=keys.PROBE_S)
    except redis.RedisError as error:
        if is_away(error) or isinstance(error, denied):
            raise
        raise translated(error, place) from None
    if client.connection_pool.connection_kwargs.get("username") not in (None, "", "default"):
        return  # INFO is usually denied to such a user, and Redis logs each denial
    try:
        facts = client.info()
    except redis.ResponseError:  # a hardened server forbids INFO
        return
    if facts.get("cluster_enabled"):
        raise RedisRefuses(f"Redis at {place} cannot serve: {CLUSTER}")
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and facts.get("maxmemory"):
        raise RedisRefuses(
            f"Redis at {place} cannot serve: it drops keys when its memory is full (maxmemory-policy "
            f"{policy}), and a run would lose weights; set maxmemory-policy to noeviction"
        )
