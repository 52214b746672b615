"""The clock of a run: seconds that pass at the orchestrator, shared through Redis.

Redis' own clock may be set while a run goes on. So the orchestrator writes the run's time next to Redis' time
at every look at the workers. A worker adds what Redis' clock has gained since, unless it cannot be right.
"""

import time
from collections.abc import Callable
from typing import cast

import redis

from helpers.cluster import keys
from helpers.cluster.job_board import redis_time

JUMP_S = 5.0
"""A larger change of Redis' time against the orchestrator's is a jump, seconds."""
STALE_S = 10.0
"""The run's time is written about every second; Redis' clock cannot have gained more than this since."""


def _key(run: str, session: str) -> str:
    return keys.of_session(run, session, "clock")


class RunClock:
    """The orchestrator's side.

    Args:
        client: connection to Redis.
        run, session: as on the job board.
        notice: receives a line about every jump.
    """

    def __init__(self, client: redis.Redis, run: str, session: str, notice: Callable[[str], None]) -> None:
        self._client = client
        self._key = _key(run, session)
        self._notice = notice
        self._offset: float | None = None  # run's time less the monotonic clock's
        self._ahead = 0.0  # Redis' time less the run's

    def tick(self) -> float:
        """Write the run's time into Redis and return it: seconds since the epoch, as Redis' clock began.

        Raises:
            redis.RedisError: Redis cannot be reached.
        """
        at_redis, here = redis_time(self._client), time.monotonic()
        if self._offset is None:
            self._offset = at_redis - here
        now = here + self._offset
        jump = at_redis - now - self._ahead
        self._ahead = at_redis - now
        if abs(jump) > JUMP_S:
            self._notice(f"the clock of Redis' machine jumped by {jump:+.0f} s; this run corrects for it")
        self._client.set(self._key, f"{at_redis:.6f} {now:.6f}", ex=keys.LIFETIME_S)
        return now


def run_time(client: redis.Redis, run: str, session: str) -> float:
    """Return the run's time at a worker; Redis' time if the run has not written its own.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    at_redis, written = redis_time(client), cast("bytes | None", client.get(_key(run, session)))
    try:
        before, now = (float(part) for part in (written or b"").split())
    except ValueError:
        return at_redis
    gained = at_redis - before
    return now + (gained if 0 <= gained <= STALE_S else 0.0)
