"""The name of every key the project writes into Redis (the broker's own apart). Each has a time to live.

dt:worker:{name}                        a live worker: JSON, renewed by its heartbeat
dt:reserved                             process that keeps a database for the workers it starts
dt:run:{run}:session                    id of the orchestrator process that owns the run
dt:run:{run}:{session}:attempts         hash: job -> the attempt whose answer counts
dt:run:{run}:{session}:answers          hash: job -> its one accepted answer
dt:run:{run}:{session}:failures         hash: job -> what went wrong in its current attempt
dt:run:{run}:{session}:events           list that wakes the orchestrator
dt:run:{run}:{session}:weights:{round}                     global weights after a round
dt:run:{run}:{session}:update:{round}:{client}:{attempt}   what one client sends of its weights
dt:run:{run}:{session}:scores:{round}:{client}:{attempt}   its model's validation scores
dt:run:{run}:{session}:scores-{split}:{round}:{client}:{attempt}   a site's scores of the global weights
dt:run:{run}:{session}:state:{round}:{client}:{attempt}    what it remembers for its next round
dt:unfinished:{token}                   one of the last five while it is written
"""

RESERVATION = "dt:reserved"
SITE_QUEUE = "site."
"""A queue of one site's workers is called so, and by the site's name."""

LIFETIME_S = 24 * 3600
"""Time to live of the bookkeeping keys, seconds; renewed by every write."""


def worker(name: str) -> str:
    return f"dt:worker:{name}"


def session(run: str) -> str:
    return f"dt:run:{run}:session"


def of_session(run: str, session_id: str, *parts: str | int) -> str:
    return ":".join(("dt:run", run, session_id, *(str(part) for part in parts)))
