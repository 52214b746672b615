"""`run.py up`: Redis and workers in the foreground until Ctrl-C."""

import os
import sys
import time
from collections.abc import Mapping, Sequence

from helpers.cluster.versions import ROOT
from helpers.global_config import Config
from helpers.launcher.child_processes import unwind_when_terminated
from helpers.launcher.embedded_redis import (
    DATA_DIR,
    USUAL_PORT,
    USUAL_URL,
    RedisServer,
    find_or_start,
    redis_url_given,
)
from helpers.launcher.local_cluster import started_workers
from helpers.launcher.weight_folder import VARIABLE
from helpers.launcher.worker_processes import SILENT, WITH_EVENTS
from helpers.settings.command_line import ArgumentParser
from helpers.settings.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py up",
        description="Runs Redis (unless one runs) and workers in the foreground. Ctrl-C stops all.",
    )
    parser.add_argument("--workers", type=int, default=3, metavar="N", help="number of workers [3]")
    parser.add_argument(
        "--events", action="store_true", help="workers publish Celery's events, for monitors such as Flower"
    )
    options = parser.parse_args(arguments)
    if options.workers < 1:
        raise UserError(f"--workers: received {options.workers}; at least 1")
    return up(options.workers, options.events)


def up(count: int, with_events: bool = False) -> int:
    """Run Redis and workers until Ctrl-C; return the exit status.

    Raises:
        ClusterError: Redis or a worker did not start, or every worker has ended.
    """
    unwind_when_terminated()
    config = Config.load()
    try:
        with (
            _redis() as server,
            started_workers(
                config, server.url, count, _print_line, options=WITH_EVENTS if with_events else SILENT
            ) as cluster,
        ):
            how = _how_to_go_on(cluster.environment, count, " --events" if with_events else "")
            print(f"\n{count} workers are ready; Ctrl-C stops all. {how}\n", flush=True)
            while True:
                cluster.report_ended()
                time.sleep(1)
    except KeyboardInterrupt:
        print("\nstopped")
    return 0


def _redis() -> RedisServer:
    """Return the Redis of REDIS_URL, started there if the port is free, or the one of the order of choice."""
    return find_or_start(redis_url_given(), ROOT / DATA_DIR, USUAL_PORT)


def _print_line(name: str, line: str) -> None:
    print(f"{name} | {line}", flush=True)


def _how_to_go_on(environment: Mapping[str, str], count: int, option: str = "") -> str:
    """Return the commands that train and that start one more worker like these."""
    python, url = os.path.relpath(sys.executable, ROOT), environment["REDIS_URL"]
    redis = "" if url in (USUAL_URL, redis_url_given()) else f"REDIS_URL={url} "
    same = [f"{name}={environment[name]} " for name in ("DT_THREADS", VARIABLE) if environment.get(name)]
    if "DT_NAMESPACE" in environment:
        redis = f"DT_NAMESPACE={environment['DT_NAMESPACE']} {redis}"
    worker = f"-m celery --app=celery_app worker --pool=solo --hostname=worker{count + 1}@%h{option}"
    terminal = f"another terminal{' with the same REDIS_URL' if redis_url_given() else ''}"
    return (
        f"To train, in {terminal}:\n  {redis}{python} distributed_training_index.py\n"
        f"To start one more worker there:\n  {redis}{''.join(same)}{python} {worker}"
    )
