"""What `run.py up` and `run.py demo` do: put Redis, workers and commands together, and stop them all."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from helpers.cluster.connection import connect
from helpers.cluster.errors import WorkerDied
from helpers.cluster.versions import ROOT
from helpers.launcher.child_processes import stop_all
from helpers.launcher.embedded_redis import DATA_DIR, USUAL_PORT, USUAL_URL, find_or_start, redis_url_given
from helpers.launcher.weight_folder import VARIABLE, weight_folder
from helpers.launcher.worker_processes import Sink, WorkerProcesses, worker_environment

DEMO_DIR = Path("demo")
DEMO_WORKERS = 3
DEMO_SETTINGS = [
    *("--run", "demo", "--overwrite", "--input-shape", "64,64"),
    *("--epochs", "8", "--train-batch-size", "4", "--num-workers", str(DEMO_WORKERS)),
]


def up(count: int) -> int:
    """Run Redis and `count` workers in the foreground until Ctrl-C; return the exit status.

    Raises:
        ClusterError: Redis or a worker did not start, or every worker has ended.
    """
    _stop_in_order_when_terminated()
    names = [f"worker{number}" for number in range(1, count + 1)]
    try:
        with (
            find_or_start(redis_url_given(), ROOT / DATA_DIR, USUAL_PORT) as server,
            weight_folder(server.url) as place,
        ):
            environment = worker_environment(server.url, count) | place
            with WorkerProcesses(names, environment, _print_line) as workers:
                workers.wait_until_ready(connect(server.url))
                print(f"\n{count} workers are ready; Ctrl-C stops all. {_how_to_go_on(environment, count)}\n")
                while True:
                    _report_ended(workers)
                    time.sleep(1)
    except KeyboardInterrupt:
        print("\nstopped")
    return 0


def demo(options: Sequence[str] = ()) -> int:
    """Prepare the demo images, train on them with three workers and return the exit status.

    Args:
        options: further options of the training command; they win over the demo's.

    Raises:
        ClusterError: Redis or a worker did not start.
    """
    _stop_in_order_when_terminated()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="demo-redis-") as folder,
            find_or_start(redis_url_given(), Path(folder)) as server,
        ):
            # Database 1 of a Redis that was running: the user's own workers, on 0, know nothing of the demo.
            url = redis_url_given() or server.url.removesuffix("/0") + "/1"
            with weight_folder(url) as place:
                return _demo_with(url, worker_environment(url, DEMO_WORKERS) | place, options)
    except KeyboardInterrupt:
        print("\nstopped")
        return 128 + signal.SIGINT


def _demo_with(redis_url: str, environment: dict[str, str], options: Sequence[str]) -> int:
    prepared = DEMO_DIR / "preprocessed"
    environment |= {"DT_PREPROCESSED_DIR": str(prepared)}
    prepare = ["preprocessing/load_and_create_dataset.py", "--source", "demo"]
    prepare += ["--data-dir", str(DEMO_DIR / "images"), "--out", str(prepared), "--input-shape", "64,64"]
    if status := _run_python(prepare, environment):
        return status
    names = [f"demo{number}" for number in range(1, DEMO_WORKERS + 1)]
    print(f"Starting {DEMO_WORKERS} workers (their logs: {DEMO_DIR / 'logs'}) …", flush=True)
    with WorkerProcesses(names, environment, _log_files(ROOT / DEMO_DIR / "logs", names)) as workers:
        workers.wait_until_ready(connect(redis_url))
        train = ["distributed_training_index.py", *DEMO_SETTINGS, *options]
        return _run_python(train, environment, workers)


def _log_files(folder: Path, names: Sequence[str]) -> Sink:
    """Make an empty file for each worker; what this returns appends a line to one of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.log").write_text("")

    def write(name: str, line: str) -> None:
        with (folder / f"{name}.log").open("a", encoding="utf-8") as file:
            print(line, file=file)

    return write


def _run_python(
    command: Sequence[str], environment: Mapping[str, str], workers: WorkerProcesses | None = None
) -> int:
    """Run a command of this project in the foreground, its output here; return its exit status.

    Raises:
        WorkerDied: every one of the workers it needs has ended before it.
    """
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment)
    try:
        while process.poll() is None:
            if workers is not None:
                _report_ended(workers)
            time.sleep(0.2)
    finally:  # also after Ctrl-C, which the terminal sends to the command as well
        stop_all([process])
    return process.returncode


def _report_ended(workers: WorkerProcesses) -> None:
    """Say of each worker that has ended how it ended.

    Raises:
        WorkerDied: none is left.
    """
    for ending in workers.newly_ended():
        print(ending, file=sys.stderr, flush=True)
    if workers.all_ended():
        raise WorkerDied("every worker has ended")


def _print_line(name: str, line: str) -> None:
    print(f"{name} | {line}", flush=True)


def _how_to_go_on(environment: Mapping[str, str], count: int) -> str:
    """How to train, and how to start one more worker like those that have this environment."""
    python, url = os.path.relpath(sys.executable, ROOT), environment["REDIS_URL"]
    redis = "" if url in (USUAL_URL, redis_url_given()) else f"REDIS_URL={url} "
    same = [f"{name}={environment[name]} " for name in ("DT_THREADS", VARIABLE) if environment.get(name)]
    worker = f"-m celery --app=celery_app worker --pool=solo --hostname=worker{count + 1}@%h"
    terminal = f"another terminal{' with the same REDIS_URL' if redis_url_given() else ''}"
    return (
        f"To train, in {terminal}:\n  {redis}{python} distributed_training_index.py\n"
        f"To start one more worker there:\n  {redis}{''.join(same)}{python} {worker}"
    )


def _stop_in_order_when_terminated() -> None:
    """Let a request to terminate, or a closed terminal, unwind the program so that it stops its children."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), leave)
