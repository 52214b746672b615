"""The worker processes of this machine: start them, see them ready, stop them."""

import collections
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

Sink = Callable[[str, str], None]
"""Receives what a worker prints: its name and one line."""


def worker_command(name: str, app: str = "celery_app") -> list[str]:
    """The command that starts a worker with this interpreter; it runs in the repository root."""
    command = [sys.executable, "-m", "celery", f"--app={app}", "worker", "--pool=solo"]
    command += ["--loglevel=info", f"--hostname={name}@%h"]
    return [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"]


def worker_environment(redis_url: str, count: int) -> dict[str, str]:
    """Our environment with the Redis of the workers, and the processor's cores divided among them."""
    cores = os.cpu_count() or 1
    defaults = {"DT_THREADS": str(max(1, cores // count)), "TF_CPP_MIN_LOG_LEVEL": "2"}
    always = {"REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1"}
    return {**defaults, **os.environ, **always}


def own_gpus(count: int, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """For each of `count` workers, the variable that gives it one GPU of this machine, in turn.

    Empty where there is none that TensorFlow could use, and where the environment says already which one
    they take.
    """
    number = 0 if environment.get("DT_GPU") or not has_libraries() else count_visible()
    return [{"DT_GPU": str(worker % number)} if number else {} for worker in range(count)]


class Worker:
    """One worker process; what it prints goes line by line to `sink`, and the end of it is kept."""

    def __init__(self, name: str, environment: Mapping[str, str], sink: Sink, app: str) -> None:
        self.name = name
        self._sink = sink
        self._tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self.process = start_apart(worker_command(name, app), subprocess.PIPE, environment)
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        for raw in output:
            line = raw.decode(errors="replace").rstrip()
            self._tail.append(line)
            self._sink(self.name, line)

    def finish_reading(self) -> None:
        """Wait, shortly, until the rest of what an ended process printed has been read."""
        self._reader.join(2)

    def explain_end(self) -> str:
        """Say how the process ended, with the last lines it printed."""
        self.finish_reading()
        tail = "\n".join(f"    {line}" for line in self._tail)
        return f"{self.name} ended with status {self.process.returncode}; it printed last:\n{tail}"


class WorkerProcesses:
    """Workers of this machine; a context manager that stops them all, whatever happens.

    Args:
        names: one worker each.
        environment: their environment variables; each takes a GPU in turn, if there are any.
        sink: receives what they print.
        app: module of their Celery app.
    """

    def __init__(
        self, names: Sequence[str], environment: Mapping[str, str], sink: Sink, app: str = "celery_app"
    ) -> None:
        self._workers: list[Worker] = []
        self._told: set[str] = set()
        try:
            for name, gpu in zip(names, own_gpus(len(names), environment), strict=True):
                self._workers.append(Worker(name, {**environment, **gpu}, sink, app))
        except BaseException:
            self.stop()
            raise

    def wait_until_ready(self, client: redis.Redis, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the heartbeat of every worker is there.

        Raises:
            WorkerDied: a worker ended instead; with the last lines it printed.
            NoWorkers: not all were there in time.
        """
        deadline = time.monotonic() + timeout_s
        while missing := self._without_heartbeat(client):
            for worker in missing:
                if worker.process.poll() is not None:
                    raise WorkerDied(worker.explain_end())
            if time.monotonic() > deadline:
                names = ", ".join(worker.name for worker in missing)
                raise NoWorkers(f"{names}: not ready after {timeout_s:g} s; is this machine overloaded?")
            time.sleep(0.2)

    def _without_heartbeat(self, client: redis.Redis) -> list[Worker]:
        host = socket.gethostname()
        pids = {status.get("pid") for status in live_workers(client).values() if status.get("host") == host}
        return [worker for worker in self._workers if worker.process.pid not in pids]

    def newly_ended(self) -> list[str]:
        """Say of every worker that ended since the last call how it ended."""
        ended = [worker for worker in self._workers if worker.process.poll() is not None]
        fresh = [worker for worker in ended if worker.name not in self._told]
        self._told.update(worker.name for worker in fresh)
        return [worker.explain_end() for worker in fresh]

    def all_ended(self) -> bool:
        """Whether no worker runs any more."""
        return all(worker.process.poll() is not None for worker in self._workers)

    def stop(self, grace_s: float = 15.0) -> None:
        """Let every worker finish its task for `grace_s` seconds, then kill it."""
        stop_all([worker.process for worker in self._workers], grace_s)
        for worker in self._workers:
            worker.finish_reading()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
