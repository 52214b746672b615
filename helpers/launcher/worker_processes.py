"""Worker processes of this machine: start them, wait until they are ready, stop them."""

import collections
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Self

import redis

from helpers.cluster.errors import NoWorkers, WorkerDied
from helpers.cluster.heartbeat import live_workers
from helpers.launcher.child_processes import start_apart, stop_all
from helpers.launcher.gpus import count_visible, has_libraries

READY_TIMEOUT_S = 180.0
TAIL_LINES = 15
SAY_EVERY_S = 5.0
"""Time after which people hear how many workers are ready, seconds."""
STOP_QUIETLY_S = 1.5
"""A stop that takes longer than this is announced, seconds."""

SILENT = ("--without-gossip", "--without-mingle", "--without-heartbeat")
"""Options of workers that exchange no messages of Celery's own."""
WITH_EVENTS = (*SILENT[:2], "--events", "--heartbeat-interval=30")
"""Options of workers that publish Celery's events. Monitors take a worker for alive for twice this time
after its last event, and a solo worker sends none during a task."""

Sink = Callable[[str, str], None]
"""A function that receives the name of a worker and a line it printed."""


def worker_command(name: str, app: str = "celery_app", options: Sequence[str] = SILENT) -> list[str]:
    """Return the command that starts a worker with this interpreter in the repository."""
    command = [sys.executable, "-m", "celery", f"--app={app}", "worker", "--pool=solo"]
    command += ["--loglevel=info", f"--hostname={name}@%h"]
    return [*command, *options]


def worker_environment(redis_url: str, count: int) -> dict[str, str]:
    """Return our environment with the Redis of `count` workers, and a share of the cores for each."""
    cores = os.cpu_count() or 1
    defaults = {"DT_THREADS": str(max(1, cores // count)), "TF_CPP_MIN_LOG_LEVEL": "2"}
    always = {"REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1"}
    return {**defaults, **os.environ, **always}


def own_gpus(count: int, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Return for each of `count` workers the variable that gives it one GPU of this machine, in turn.

    The variables are empty without a GPU that TensorFlow can use, or with DT_GPU in the environment.
    """
    number = 0 if environment.get("DT_GPU") or not has_libraries() else count_visible()
    return [{"DT_GPU": str(worker % number)} if number else {} for worker in range(count)]


class Worker:
    """One worker process. Its output goes line by line to `sink`, and the last lines are kept."""

    def __init__(self, name: str, environment: Mapping[str, str], sink: Sink, command: list[str]) -> None:
        self.name = name
        self._sink = sink
        self._tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self.process = start_apart(command, subprocess.PIPE, environment)
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        for raw in output:
            line = raw.decode(errors="replace").rstrip()
            self._tail.append(line)
            # A closed terminal, or one without such letters; a worker that is not read would block.
            with contextlib.suppress(OSError, ValueError):
                self._sink(self.name, line)

    def finish_reading(self) -> None:
        """Wait up to 2 seconds until the remaining output of an ended process has been read."""
        self._reader.join(2)

    def explain_end(self) -> str:
        """Return how the process ended, with the last lines it printed."""
        self.finish_reading()
        tail = "\n".join(f"    {line}" for line in self._tail)
        return f"{self.name} ended with status {self.process.returncode}; its last lines:\n{tail}"


class WorkerProcesses:
    """Workers of this machine, as a context manager that stops them.

    Args:
        names: the names of the workers.
        environment: their environment variables. Each gets a GPU in turn, if there are any.
        sink: receives the lines they print.
        app: module of their Celery app.
        options: further ones of the command `celery worker`.
        say: receives a line where the start or the stop takes a while.
    """

    def __init__(
        self, names: Sequence[str], environment: Mapping[str, str], sink: Sink, app: str = "celery_app",
        options: Sequence[str] = SILENT, say: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        self._say = say
        self._workers: list[Worker] = []
        self._reported: set[str] = set()
        try:
            for name, gpu in zip(names, own_gpus(len(names), environment), strict=True):
                command = worker_command(name, app, options)
                self._workers.append(Worker(name, {**environment, **gpu}, sink, command))
        except BaseException:
            self.stop()
            raise

    def wait_until_ready(self, client: redis.Redis, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until every worker shows its heartbeat.

        Raises:
            WorkerDied: a worker has ended, with the last lines it printed.
            NoWorkers: a worker was not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        next_line = time.monotonic() + SAY_EVERY_S
        while missing := self._without_heartbeat(client):
            for worker in missing:
                if worker.process.poll() is not None:
                    raise WorkerDied(worker.explain_end())
            if time.monotonic() > deadline:
                names = ", ".join(worker.name for worker in missing)
                raise NoWorkers(f"{names}: not ready after {timeout_s:g} s; is this machine overloaded?")
            if time.monotonic() > next_line:
                next_line += SAY_EVERY_S
                self._say(f"Workers: {len(self._workers) - len(missing)} of {len(self._workers)} ready …")
            time.sleep(0.2)

    def _without_heartbeat(self, client: redis.Redis) -> list[Worker]:
        host = socket.gethostname()
        pids = {status.get("pid") for status in live_workers(client).values() if status.get("host") == host}
        return [worker for worker in self._workers if worker.process.pid not in pids]

    def newly_ended(self) -> list[str]:
        """Return how each worker ended that has ended since the last call."""
        ended = [worker for worker in self._workers if worker.process.poll() is not None]
        new = [worker for worker in ended if worker.name not in self._reported]
        self._reported.update(worker.name for worker in new)
        return [worker.explain_end() for worker in new]

    def all_ended(self) -> bool:
        """Return whether no worker is running."""
        return all(worker.process.poll() is not None for worker in self._workers)

    def stop(self, grace_s: float = 15.0) -> None:
        """Let every worker finish its task for `grace_s` seconds, then kill it."""
        slow = threading.Timer(STOP_QUIETLY_S, self._announce_stop)
        slow.daemon = True
        slow.start()
        try:
            stop_all([worker.process for worker in self._workers], grace_s)
        finally:
            slow.cancel()
        for worker in self._workers:
            worker.finish_reading()

    def _announce_stop(self) -> None:
        with contextlib.suppress(OSError):  # a closed terminal
            self._say("Stopping the workers …")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
