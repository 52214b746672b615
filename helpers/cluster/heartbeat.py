"""Heartbeats: one key per worker, renewed while its process runs."""

import contextlib
import json
import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis

from helpers.cluster import keys
from helpers.cluster.errors import NameTaken
from helpers.cluster.worker_status import UnreadableStatus, Workers, WorkerStatus, decode_status

LIFETIME_S = 15
"""A worker that has not renewed its key for this long is dead, seconds."""
INTERVAL_S = 5.0
"""Time between renewals, seconds."""
PROGRESS_INTERVAL_S = 1.0
"""Least time between renewals caused by batch progress, seconds."""

logger = logging.getLogger(__name__)


class Heartbeat:
    """A worker's claim to its name, renewed by a daemon thread.

    Args:
        client: connection to Redis.
        name: the worker's node name, such as worker1@host.
        facts: what does not change (threads, …), shown to the orchestrator.
    """

    def __init__(self, client: redis.Redis, name: str, facts: dict[str, Any]) -> None:
        self._client = client
        self._key = keys.worker(name)
        self._name = name
        self._status: dict[str, Any] = {
            **facts,
            "token": secrets.token_hex(8),
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "ready": False,
            "queues": [],
            "task": None,
        }
        self._lock = threading.Lock()
        self._sent = 0.0
        self._task_began = 0.0
        self._stop = threading.Event()

    def claim(self) -> None:
        """Claim the name.

        Raises:
            NameTaken: a live worker has this name.
        """
        if not self._client.set(self._key, self._encoded(), nx=True, ex=LIFETIME_S):
            holder = self._holder()
            who = f"process {holder['pid']} on {holder['host']}" if holder else "it shows no readable status"
            raise NameTaken(
                f"the name {self._name} is held by a live worker ({who}); start this one with another "
                f"--hostname. If that worker has just died, its name is free again after {LIFETIME_S} "
                "seconds."
            )

    def start(self) -> None:
        """Start to renew the claim, in a daemon thread."""
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def show_ready(self, queues: Sequence[str] = ()) -> None:
        """Show that the worker takes tasks from these queues."""
        self._status |= {"ready": True, "queues": list(queues)}
        self._renew()

    def stop(self) -> None:
        """Release the name."""
        self._stop.set()
        with self._lock, contextlib.suppress(redis.RedisError):
            if self._is_mine():
                self._client.delete(self._key)

    @contextlib.contextmanager
    def working_on(self, **task: Any) -> Iterator[None]:
        """Show a task while it runs."""
        self._task_began = time.monotonic()
        self._show(task)
        try:
            yield
        finally:
            self._show(None)

    def show_batch(self, batch: int, batches: int) -> bool:
        """Show the progress of the current task, at most once a second; return whether it was shown now."""
        if self._status["task"] is not None:
            seconds = time.monotonic() - self._task_began
            progress = {"batch": batch, "batches": batches, "seconds": round(seconds, 2)}
            self._status["task"] = {**self._status["task"], **progress}
        is_time = time.monotonic() - self._sent >= PROGRESS_INTERVAL_S
        if is_time:
            self._renew()
        return is_time

    def _show(self, task: dict[str, Any] | None) -> None:
        self._status["task"] = task
        self._renew()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._renew()

    def _renew(self) -> None:
        with self._lock:
            self._sent = time.monotonic()
            try:
                if not self._stop.is_set() and self._is_mine():
                    self._client.set(self._key, self._encoded(), ex=LIFETIME_S)
            except redis.RedisError as error:
                logger.warning("heartbeat not sent: %s", error)

    def _is_mine(self) -> bool:
        """Return whether no other process took the name while this one was suspended."""
        holder = self._holder()
        if holder is None or holder["token"] == self._status["token"]:
            return True
        logger.error("the name %s was taken by process %s", self._name, holder["pid"])
        return False

    def _holder(self) -> WorkerStatus | None:
        """Return the status under this name; None if there is none that can be read, which is replaced."""
        (value,) = self._client.mget([self._key])  # unlike GET, it returns nothing for a key of another type
        try:
            return None if value is None else decode_status(value)
        except UnreadableStatus:
            return None

    def _encoded(self) -> str:
        return json.dumps(self._status)


def ignore(name: str, reason: str) -> None:
    """Ignore a heartbeat that cannot be read."""


def live_workers(client: redis.Redis, on_unreadable: Callable[[str, str], None] = ignore) -> Workers:
    """Return the status of every live worker that takes tasks, by node name.

    `on_unreadable` is called with the name and the reason of each heartbeat that cannot be read.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    prefix = keys.worker("").encode()
    names = sorted(client.scan_iter(prefix + b"*", count=1000))
    values = client.mget(names) if names else []
    workers: Workers = {}
    for key, value in zip(names, values, strict=True):
        name = key.removeprefix(prefix).decode(errors="backslashreplace")
        try:
            status = None if value is None else decode_status(value)
        except UnreadableStatus as error:
            on_unreadable(ascii(name)[1:-1][:60], str(error))
            continue
        if status and status["ready"]:
            workers[name] = status
    return workers


def has_worker_here(client: redis.Redis) -> bool:
    """Return whether a live worker of this machine, or of this container, takes tasks.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    return any(status["host"] == socket.gethostname() for status in live_workers(client).values())


if __name__ == "__main__":  # the health check of containers
    from helpers.cluster.connection import connect
    from helpers.global_config import Config

    sys.exit(not has_worker_here(connect(Config.load().REDIS_URL.get_secret_value())))
