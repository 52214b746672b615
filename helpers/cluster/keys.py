"""Names of all keys the project writes into Redis, next to the broker's own. Each has a time to live.
With NAMESPACE=name, all begin with `name:`, the broker's too, except dt:probe.

dt:worker:{name}                        a live worker: JSON, renewed by its heartbeat; `site/name` at a site
dt:reserved                             the process that keeps a database for the workers it starts, renewed
dt:run:{run}:session                    id of the orchestrator process of the run; empty once it has ended
dt:run:{run}:{session}:attempts         hash: job -> the expected attempt
dt:run:{run}:{session}:answers          hash: job -> its accepted answer
dt:run:{run}:{session}:failures         hash: job -> the error of its current attempt
dt:run:{run}:{session}:events           list that wakes the orchestrator
dt:run:{run}:{session}:clock            the run's time, with Redis' time when it was written
dt:run:{run}:{session}:stop             somebody asked to end the run after its round
dt:run:{run}:feed                       stream of what happens in the run, for people who watch it
dt:run:{run}:{session}:weights:{round}:{attempt}           global weights after a round
dt:run:{run}:{session}:recorded:{round}:{attempt}          the same, from the record of the round
dt:run:{run}:{session}:shared:{round}                      what STRATEGY shares with all clients
dt:run:{run}:{session}:update:{round}:{client}:{attempt}   a client's update
dt:run:{run}:{session}:scores:{round}:{client}:{attempt}   the validation scores of its model
dt:run:{run}:{session}:state:{round}:{client}:{attempt}    its state for its next round
dt:probe:{token}                        written for some seconds, to see whether Redis accepts writes

A site writes only keys that begin with its name, so that Redis can keep it to them:

dt:site:{site}:left                     the site has left and is not waited for
dt:site:{site}:{run}:{session}:mail     list of the site's replies
dt:site:{site}:{run}:{session}:…        its update and state, as above, and
dt:site:{site}:{run}:{session}:scores-{split}:{round}:{client}:{attempt}   its scores of the global model

A blob of arrays has `:unfinished:{token}` behind its key while it is written.
"""

import functools

from helpers.global_config import Config

SITE_QUEUE = "site."
"""Prefix of the queue of a site's workers; the site's name follows."""

LIFETIME_S = 24 * 3600
"""Time to live of the bookkeeping keys, seconds; renewed by every write."""

PROBE_S = 10
"""Time to live of a probe, seconds."""


@functools.cache
def namespace() -> str:
    """Return what all keys of this process begin with: `name:` or nothing."""
    name = Config.load().NAMESPACE
    return f"{name}:" if name else ""


def reservation() -> str:
    return f"{namespace()}dt:reserved"


def probe(token: str) -> str:
    return f"dt:probe:{token}"


def worker(name: str) -> str:
    return f"{namespace()}dt:worker:{name}"


def left(site: str) -> str:
    return f"{namespace()}dt:site:{site}:left"


def session(run: str) -> str:
    return f"{namespace()}dt:run:{run}:session"


def feed(run: str) -> str:
    return f"{namespace()}dt:run:{run}:feed"


def of_session(run: str, session: str, *parts: str | int, site: str = "") -> str:
    return namespace() + ":".join(map(str, (f"dt:site:{site}" if site else "dt:run", run, session, *parts)))


def owner_of(key: str) -> str:
    """Return the site whose key it is; empty for a key of all members."""
    kind, _, rest = key.removeprefix(namespace()).partition("dt:site:")
    return rest.partition(":")[0] if not kind else ""
