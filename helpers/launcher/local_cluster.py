"""A cluster on this machine for as long as a command needs it: Redis, workers and a folder for weights."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.cluster.connection import connect
from helpers.cluster.errors import WorkerDied
from helpers.global_config import Config
from helpers.launcher.child_processes import run_child
from helpers.launcher.embedded_redis import find_or_start
from helpers.launcher.own_clusters import announced
from helpers.launcher.shared_redis import free_database, usable_workers
from helpers.launcher.weight_folder import weight_folder
from helpers.launcher.worker_processes import SILENT, Sink, WorkerProcesses, worker_environment


@dataclass(frozen=True)
class LocalCluster:
    """Redis and workers that take tasks.

    Attributes:
        redis_url: address of Redis, with the database of the workers.
        environment: variables of the workers.
        workers: the workers that were started; None where running ones are used.
    """

    redis_url: str
    environment: dict[str, str]
    workers: WorkerProcesses | None

    def run(
        self,
        command: Sequence[str],
        on_line: Callable[[str], None] | None = None,
        watch: Callable[[], object] | None = None,
    ) -> int:
        """Run a Python script that uses this cluster; see `run_child`.

        Args:
            command: the script and its arguments.
            on_line: receives each line of output, in place of the terminal.
            watch: called several times a second; what it raises stops the script.

        Raises:
            WorkerDied: all workers that were started have ended before the script.
        """

        def look() -> None:
            self.report_ended()
            if watch is not None:
                watch()

        # Its folders stay as its own settings say: unlike the workers, it runs in the current folder.
        environment = {**os.environ, "REDIS_URL": self.redis_url, "PYTHONUNBUFFERED": "1"}
        status = run_child([sys.executable, *command], environment, look, on_line)
        if status < 0 and sys.platform != "win32":
            print(
                f"error: {command[0]} was ended by signal {-status}"
                + (", as by a machine that is out of memory" if status == -signal.SIGKILL else "")
                + "; what it has finished is kept",
                file=sys.stderr,
            )
            return 3
        return status

    def report_ended(self) -> None:
        """Print how each worker ended that has ended since the last call.

        Raises:
            WorkerDied: none is left.
        """
        if self.workers is None:
            return
        for ending in self.workers.newly_ended():
            print(ending, file=sys.stderr, flush=True)
        if self.workers.all_ended():
            raise WorkerDied("every worker has ended")


@contextlib.contextmanager
def local_cluster(
    config: Config,
    num_workers: int | None,
    logs: Path,
    *,
    default: int = 3,
    name: str = "worker",
    say: Callable[[str], None] = print,
) -> Iterator[LocalCluster]:
    """Use the Redis and workers of this machine; start what is missing and stop it at the end.

    Running workers are used if there are enough that have the folders of `config`. Otherwise new ones
    start in a database of Redis without workers, so that only they take part.

    Args:
        config: REDIS_URL, if it is set, and the settings of this machine, which new workers get.
        num_workers: number of workers; None means those that are running, else `default`.
        logs: folder for the output of new workers, a file each.
        default: see `num_workers`.
        name: new workers are called by it and a number.
        say: receives a line about Redis and a line about the workers.

    Raises:
        ClusterError: Redis or a worker did not start.
    """
    given_url = config.REDIS_URL.get_secret_value() if "REDIS_URL" in config.model_fields_set else ""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory("", "redis-", ignore_cleanup_errors=True))
        server = stack.enter_context(find_or_start(given_url, Path(folder), say=say))
        usable = usable_workers(server.url, config)
        if len(usable) >= (num_workers or 1):
            say(f"Workers: {', '.join(usable)} (already running)")
            yield LocalCluster(server.url, worker_environment(server.url, 1), None)
            return
        url = server.url
        if server.process is None:
            url = stack.enter_context(free_database(url, is_given=bool(given_url)))
        if server.process or not given_url:
            stack.enter_context(announced(url))
        count = num_workers or default
        say(f"Workers: starting {count} (logs in {logs}) …")
        yield stack.enter_context(started_workers(config, url, count, log_files(logs), name, say=say))


@contextlib.contextmanager
def started_workers(
    config: Config,
    redis_url: str,
    count: int,
    sink: Sink,
    name: str = "worker",
    options: Sequence[str] = SILENT,
    say: Callable[[str], None] = print,
) -> Iterator[LocalCluster]:
    """Start workers with a folder for their weights and wait until they take tasks; stop them at the end.

    `options` are further ones of the command `celery worker`. `say` receives lines if it takes a while.

    Raises:
        ClusterError: a worker did not start.
    """
    with weight_folder(redis_url) as store:
        environment = worker_environment(redis_url, count) | store | machine_settings(config)
        names = [f"{name}{number}" for number in range(1, count + 1)]
        with WorkerProcesses(names, environment, sink, options=options, say=say) as workers:
            workers.wait_until_ready(connect(redis_url))
            yield LocalCluster(redis_url, environment, workers)


def log_files(folder: Path) -> Sink:
    """Return a sink that appends the lines of each worker to its file, after deleting earlier files."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.log"):
        file.unlink()

    def write(name: str, line: str) -> None:
        with (folder / f"{name}.log").open("a", encoding="utf-8") as file:
            print(line, file=file)

    return write


def machine_settings(config: Config) -> dict[str, str]:
    """Return the settings of this machine as environment variables of its workers.

    Paths are absolute, as workers run in the repository and commands anywhere.
    """
    settings: dict[str, str] = {}
    for name in sorted(set(type(config).model_fields) - config.for_run().keys() - {"REDIS_URL", "SITE"}):
        value = getattr(config, name)
        if isinstance(value, Path) or (name == "TEST_DIR" and value):
            settings[f"DT_{name}"] = str(Path(value).absolute())
        elif name in config.model_fields_set:
            settings[f"DT_{name}"] = ",".join(value) if isinstance(value, tuple) else str(value)
    return settings
