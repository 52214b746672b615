"""A Redis that others may use too: workers in it that can be used, and a database without workers."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis

from helpers.cluster import keys
from helpers.cluster.connection import address, connect
from helpers.cluster.errors import RedisUnreachable
from helpers.cluster.heartbeat import INTERVAL_S, LIFETIME_S, live_workers
from helpers.cluster.versions import ROOT
from helpers.federated.messages import AGGREGATE_QUEUE, TRAIN_QUEUE
from helpers.global_config import Config

NUM_DATABASES = 16
"""Databases of a Redis with its default settings."""


def usable_workers(redis_url: str, config: Config) -> list[str]:
    """Return the names of the running workers of this machine that can train with `config`.

    Workers that another command has started for itself are not usable.
    """
    client = connect(redis_url)
    if client.exists(keys.reservation()):
        return []
    return [name for name, status in sorted(live_workers(client).items()) if _is_usable(status, config)]


def _is_usable(status: Mapping[str, Any], config: Config) -> bool:
    """Return whether a worker of this machine serves both queues and has our checkout and folders."""
    prepared = config.PREPROCESSED_DIR.absolute()
    places = {
        "checkout": (str(ROOT),),
        # A worker finds prepared images in its folder and one level below it.
        "PREPROCESSED_DIR": (str(prepared), str(prepared.parent)),
        "METRICS_DIR": (str(config.METRICS_DIR.absolute()),),
        "MODELS_DIR": (str(config.MODELS_DIR.absolute()),),
    }
    theirs = status.get("folders") or {}
    return (
        status.get("host") == socket.gethostname()
        and {TRAIN_QUEUE, AGGREGATE_QUEUE} <= set(status["queues"])
        and all(theirs.get(name) in allowed for name, allowed in places.items())
    )


@contextlib.contextmanager
def free_database(url: str, *, is_given: bool) -> Iterator[str]:
    """Reserve a database of a running Redis that has no workers; yield its address.

    Args:
        url: address of the Redis.
        is_given: the user has set this address, so its own database comes first. Otherwise it is left to
            workers that are started by hand.

    Raises:
        RedisUnreachable: every database has workers.
    """
    candidates = [url] if is_given else []
    numbers = range(1, NUM_DATABASES)
    candidates += [urlunsplit(urlsplit(url)._replace(path=f"/{number}")) for number in numbers]
    for candidate in candidates:
        client = connect(candidate)
        try:
            has_workers = any(client.scan_iter(keys.worker("*"), count=1000))
            if not has_workers and client.set(keys.reservation(), os.getpid(), nx=True, ex=LIFETIME_S):
                break
        except redis.ResponseError:  # fewer databases, or no permission for this one
            continue
    else:
        raise RedisUnreachable(
            f"Redis at {address(connect(url))}: every database has workers; stop those that are not needed"
        )
    is_over = threading.Event()
    renewing = threading.Thread(target=_renew_reservation, args=(client, is_over), daemon=True)
    renewing.start()
    try:
        yield candidate
    finally:
        is_over.set()
        renewing.join(INTERVAL_S)  # it may be about to renew
        with contextlib.suppress(redis.RedisError):
            client.delete(keys.reservation())


def _renew_reservation(client: redis.Redis, is_over: threading.Event) -> None:
    """Renew a reservation as workers renew their heartbeats: it ends soon after a process that was killed."""
    while not is_over.wait(INTERVAL_S):
        with contextlib.suppress(redis.RedisError):
            client.set(keys.reservation(), os.getpid(), ex=LIFETIME_S)
