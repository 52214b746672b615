"""The project as a contender: Redis, workers as the launcher starts them, the training command."""

import contextlib
import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pandas as pd

from benchmarks.processes import cpu_seconds, resident_bytes
from benchmarks.watching import Readings, watch
from helpers.cluster.connection import connect
from helpers.cluster.heartbeat import live_workers
from helpers.launcher.embedded_redis import find_binary, start_server
from helpers.launcher.weight_folder import weight_folder
from helpers.launcher.worker_processes import WorkerProcesses, worker_environment

CLIENTS = 3
"""The README's default."""
NOTHING: Mapping[str, str] = {}


def without_settings(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment without settings of the project, so that defaults are measured."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("DT_") and name != "REDIS_URL"
    }


def environment_of(redis_url: str, count: int) -> dict[str, str]:
    """Return the environment that the launcher gives each of `count` workers, without a user's settings."""
    environment = without_settings(worker_environment(redis_url, count))
    return environment | {"REDIS_URL": redis_url, "DT_THREADS": str(threads_of_each(count))}


class Pipeline:
    """A Redis on a free port and workers, with all files in one folder. A context manager that stops them.

    Args:
        folder: for Redis, records, models and logs; made here.
        prepared: folder of the prepared arrays.
        count: number of workers.
        all_in_redis: keep weights in Redis, as on several machines, and not in the launcher's folder.
        app: module of the workers' Celery app.
        more: further variables for workers and command.
    """

    def __init__(
        self,
        folder: Path,
        prepared: Path,
        count: int,
        *,
        all_in_redis: bool = False,
        app: str = "celery_app",
        more: Mapping[str, str] = NOTHING,
    ) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._runs = itertools.count(1)
        with contextlib.ExitStack() as stack:
            self._server = stack.enter_context(start_server(find_binary(), folder / "redis"))
            self.client = connect(self._server.url)
            place = {} if all_in_redis else stack.enter_context(weight_folder(self._server.url))
            self.environment = environment_of(self._server.url, count) | place
            self.environment |= {
                "DT_PREPROCESSED_DIR": str(prepared),
                "DT_METRICS_DIR": str(folder / "metrics"),
                "DT_MODELS_DIR": str(folder / "models"),
                **more,
            }
            names = [f"measured{number}" for number in range(1, count + 1)]
            workers = stack.enter_context(WorkerProcesses(names, self.environment, self._log, app))
            workers.wait_until_ready(self.client)
            self.close = stack.pop_all().close

    def _log(self, name: str, line: str) -> None:
        with (self._folder / f"{name}.log").open("a", encoding="utf-8") as file:
            print(line, file=file)

    @property
    def worker_pids(self) -> list[int]:
        return [int(status["pid"]) for status in live_workers(self.client).values()]

    @property
    def pids(self) -> list[int]:
        """The process ids of Redis and the workers."""
        server = self._server.process
        return self.worker_pids + ([server.pid] if server is not None else [])

    def train(self, *options: str) -> list[Readings]:
        """Run the training command to its end.

        Args:
            *options: of the command line.

        Returns:
            readings of each round: `seconds` between the ends of two rounds; `recorded` seconds and
            `bytes_down` from rounds.csv; `client mean` and `client median` of the seconds in clients.csv;
            processor seconds `cpu` of Redis, workers and command; bytes `in` and `out` of Redis; growth of
            the resident memory of `workers` and `command`, bytes.

        Raises:
            CommandFailed: the command failed; the message has its last lines.
        """
        run = f"measured-{next(self._runs)}"
        command = [sys.executable, "distributed_training_index.py", "--run", run, *options]
        pids, workers = self.pids, self.worker_pids

        def meter(orchestrator: int) -> Readings:
            traffic = self.client.info("stats")
            return {
                "cpu": cpu_seconds([*pids, orchestrator]),
                "in": float(traffic["total_net_input_bytes"]),
                "out": float(traffic["total_net_output_bytes"]),
                "workers": float(sum(map(resident_bytes, workers))),
                "command": float(resident_bytes(orchestrator)),
            }

        rounds = watch(command, self.environment, meter)
        records = self._folder / "metrics" / run
        table = pd.read_csv(records / "rounds.csv")
        clients = pd.read_csv(records / "clients.csv").groupby("round")["seconds"]
        columns = (table["seconds"], table["bytes_down"], clients.mean(), clients.median())
        names = ("recorded", "bytes_down", "client mean", "client median")
        return [
            {**reading, **dict(zip(names, map(float, values), strict=True))}
            for reading, *values in zip(rounds, *columns, strict=True)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def threads_of_each(count: int) -> int:
    """Return the number of threads that the launcher gives each of `count` workers."""
    return max(1, (os.cpu_count() or 1) // count)
