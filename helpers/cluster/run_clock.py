"""The clock of a run: the orchestrator's monotonic clock, shared through Redis, whose own clock may be set.

The orchestrator writes both times at every look at the workers. A worker adds what Redis' clock has gained
since, unless that cannot be right.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import redis

from helpers.cluster import keys
from helpers.federated.messages import RoundOrder

JUMP_S = 5.0
"""A larger change of Redis' time against the run's is a jump, seconds."""
MOST_GAINED_S = 10.0
"""The run's time is written once a second; Redis' clock cannot have gained more since, seconds."""


class RunClock:
    """Clock of a run, at the orchestrator.

    Args:
        client: connection to Redis.
        run, session: as on the job board.
        on_jump: called with the seconds by which Redis' clock has jumped.
    """

    def __init__(self, client: redis.Redis, run: str, session: str, on_jump: Callable[[float], None]) -> None:
        self._client = client
        self._key = keys.of_session(run, session, "clock")
        self._on_jump = on_jump
        self._ahead = math.nan  # Redis' time less the run's

    def tick(self) -> float:
        """Share the run's time with the workers and return it, seconds."""
        at_redis, now = redis_time(self._client), time.monotonic()
        jump, self._ahead = at_redis - now - self._ahead, at_redis - now
        self._client.set(self._key, f"{at_redis:.6f} {now:.6f}", ex=keys.LIFETIME_S)
        if abs(jump) > JUMP_S:
            self._on_jump(jump)
        return now


def seconds_since_dispatch(client: redis.Redis, order: RoundOrder) -> float:
    """Return the seconds since a round was dispatched, at a worker; 0 if Redis has lost the run's time."""
    written: Any = client.get(keys.of_session(order.run, order.session, "clock")) or b""
    try:
        before, now = (float(part) for part in written.split())
    except ValueError:
        return 0.0
    gained = redis_time(client) - before
    seconds = now - order.sent_at + (gained if 0 <= gained <= MOST_GAINED_S else 0.0)
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def redis_time(client: redis.Redis) -> float:
    """Return seconds since the epoch on Redis' clock."""
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1e6)
