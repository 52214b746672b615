"""The run that a command of another terminal or machine is about, and the Redis that it uses."""

from typing import Any

from helpers.cluster.connection import address, answers, check_reachable, connect
from helpers.cluster.living_runs import holder_of, living_runs
from helpers.global_config import Config
from helpers.launcher.embedded_redis import redis_url_given
from helpers.launcher.own_clusters import own_addresses
from helpers.settings.errors import ConfigError, UserError


def find_run(config: Config, run: str, *, also_ended: bool = False) -> tuple[Any, str]:
    """Return the connection and the name of a living run.

    Args:
        config: REDIS_URL, and whether this machine is a site's.
        run: its name; empty for the newest one.
        also_ended: accept a run of this name that has ended, while Redis knows it.

    Raises:
        UserError: there is no such run.
        ConfigError: this is a site, or Redis denies access.
        ClusterError: Redis does not answer.
    """
    if config.SITE:
        raise ConfigError(
            f"SITE={config.SITE}: only the coordinator can watch or stop a run; `python run.py leave` ends "
            "the part of this site"
        )
    clients = reachable(config)
    living = {client: living_runs(client) for client in clients}
    for client, runs in living.items():
        if (run in runs) if run else runs:
            return client, run or runs[0]
        if run and also_ended and holder_of(client, run):
            return client, run
    others = ", ".join(name for runs in living.values() for name in runs) or "none"
    places = ", ".join(address(client) for client in clients)
    raise UserError(
        f"no run {run + ' ' if run else ''}is in training with Redis at {places}; in training: {others}. For "
        "a run with another Redis, set REDIS_URL to it"
    )


def reachable(config: Config) -> list[Any]:
    """Return connections to the Redis of REDIS_URL; without it, also to those of commands of this machine.

    Raises:
        ClusterError, ConfigError: none of them answers.
    """
    usual = connect(config.REDIS_URL.get_secret_value())
    own = [] if redis_url_given() else [connect(url) for url in own_addresses()]
    if usable := [client for client in own if answers(client)]:
        return usable + ([usual] if answers(usual) else [])
    check_reachable(usual)
    return [usual]
