"""The run that a command of another terminal or machine is about, and the Redis that it uses."""

from functools import partial
from pathlib import Path
from typing import Any

from helpers.cluster.connection import address, answers, check_reachable, connect
from helpers.cluster.errors import RedisUnreachable
from helpers.cluster.job_board import JobBoard
from helpers.cluster.living_runs import holder_of, living_runs
from helpers.cluster.ownership import take_run_over
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
        UserError: REDIS_URL is not set, and none of them answers.
        ClusterError: the Redis of REDIS_URL does not answer.
        ConfigError: it denies access.
    """
    usual = connect(config.REDIS_URL.get_secret_value())
    own = [] if redis_url_given() else [connect(url) for url in own_addresses()]
    if usable := [client for client in own if answers(client)]:
        return usable + ([usual] if answers(usual) else [])
    try:
        check_reachable(usual)
    except RedisUnreachable:
        if redis_url_given():
            raise
        raise UserError(
            "no run is in training on this machine; if it trains elsewhere, set REDIS_URL to its Redis"
        ) from None
    return [usual]


def take_from_others(run: str, models_dir: Path, *, force: bool) -> None:
    """Take a run from other commands of this checkout, which may use another Redis; see `take_run_over`.

    Args:
        run: name of the run.
        models_dir: MODELS_DIR; in another folder a run of this name is another one.
        force: as for `take_run_over`.

    Raises:
        ConfigError: one of them trains it and `force` is not set.
    """
    for url in own_addresses(models_dir):
        client = connect(f"{url}?socket_timeout=2&socket_connect_timeout=2")
        if answers(client) and (holder := holder_of(client, run)) and holder.is_alive:
            board = JobBoard(client, run, "another Redis")
            take_run_over(board, force=force, notice=partial(print, flush=True))
            board.close()
