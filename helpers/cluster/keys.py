"""Names of all keys the project writes into Redis, next to the broker's own. Each has a time to live.
With NAMESPACE=name, all but `dt:reserved` and `dt:unfinished` begin with `name:`, as do the broker's keys.

dt:worker:{name}                        a live worker: JSON, renewed by its heartbeat
dt:reserved                             the process that keeps a database for the workers it starts
dt:run:{run}:session                    id of the orchestrator process of the run
dt:run:{run}:{session}:attempts         hash: job -> the expected attempt
dt:run:{run}:{session}:answers          hash: job -> its accepted answer
dt:run:{run}:{session}:failures         hash: job -> the error of its current attempt
dt:run:{run}:{session}:clock            the run's time, and Redis' when it was written
dt:run:{run}:{session}:events           list that wakes the orchestrator
dt:run:{run}:{session}:weights:{round}                     global weights after a round
dt:run:{run}:{session}:update:{round}:{client}:{attempt}   a client's update
dt:run:{run}:{session}:scores:{round}:{client}:{attempt}   the validation scores of its model
dt:run:{run}:{session}:scores-{split}:{round}:{client}:{attempt}   a site's scores of the global model
dt:run:{run}:{session}:state:{round}:{client}:{attempt}    its state for its next round
dt:unfinished:{token}                   an array blob while it is written
"""

import functools

from helpers.global_config import Config

RESERVATION = "dt:reserved"
SITE_QUEUE = "site."
"""Prefix of the queue of a site's workers; the site's name follows."""

LIFETIME_S = 24 * 3600
"""Time to live of the bookkeeping keys, seconds; renewed by every write."""


@functools.cache
def namespace() -> str:
    """Return the prefix of all keys of this process, `name:` or empty."""
    name = Config.load().NAMESPACE
    return f"{name}:" if name else ""


def broker(name: str) -> str:
    """Return the key of a queue."""
    return f"{namespace()}{name}"


def worker(name: str) -> str:
    return f"{namespace()}dt:worker:{name}"


def session(run: str) -> str:
    return f"{namespace()}dt:run:{run}:session"


def of_session(run: str, session_id: str, *parts: str | int) -> str:
    return namespace() + ":".join(("dt:run", run, session_id, *(str(part) for part in parts)))
