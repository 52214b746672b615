"""Living runs: those whose orchestrator has shown within the last seconds that it is alive."""

from dataclasses import dataclass

import redis

from helpers.cluster import keys
from helpers.cluster.job_board import ENDED, LEASE_S
from helpers.cluster.run_feed import RunFeed
from helpers.federated.messages import RUN_NAME


@dataclass(frozen=True)
class Holder:
    """Who holds a run.

    Attributes:
        session: of the orchestrator; empty if the run has ended.
        held_ago_s: when it last showed that it is alive, seconds ago.
    """

    session: str
    held_ago_s: float

    @property
    def is_alive(self) -> bool:
        return self.session != "" and self.held_ago_s < LEASE_S


def holder_of(client: redis.Redis, run: str) -> Holder | None:
    """Return who holds a run; None if Redis knows no run of this name."""
    with client.pipeline() as pipe:
        pipe.get(keys.session(run))
        pipe.pttl(keys.session(run))
        session, left_ms = pipe.execute()
    if session is None:
        return None
    name = "" if session == ENDED else session.decode(errors="backslashreplace")
    return Holder(name, keys.LIFETIME_S - left_ms / 1000)


def living_runs(client: redis.Redis) -> list[str]:
    """Return the names of the living runs, the newest first."""
    prefix, suffix = keys.session("*").split("*")
    names = {
        key.decode(errors="replace").removeprefix(prefix).removesuffix(suffix)
        for key in client.scan_iter(keys.session("*"), count=1000)
    }
    runs = [run for run in names if RUN_NAME.fullmatch(run)]
    living = [run for run in runs if (holder := holder_of(client, run)) and holder.is_alive]
    return sorted(living, key=lambda run: (-RunFeed(client, run).began(), run))
