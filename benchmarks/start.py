"""Start times of `--help`, of the algorithms' import and of a worker."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.pipeline import environment_of
from benchmarks.records import Record
from benchmarks.turns import in_turn
from helpers.cluster.connection import connect
from helpers.cluster.heartbeat import live_workers
from helpers.cluster.versions import ROOT
from helpers.launcher.embedded_redis import find_binary, start_server
from helpers.launcher.worker_processes import READY_TIMEOUT_S, WorkerProcesses

HELP_LIMIT_S = 0.7
IMPORT_LIMIT_S = 0.3
READY_LIMIT_S = 1.0
COMMANDS = (
    "run.py",
    "run.py up",
    "run.py predict",
    "distributed_training_index.py",
    "preprocessing/load_and_create_dataset.py",
    "benchmarks/run.py",
)
TENSORFLOW = "python -c 'import tensorflow'"
WORKER = "a worker, until it takes tasks"


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure processes in turn, each from start to end, a worker until it is ready."""
    turns = 1 if quick else 7
    contenders: dict[str, Callable[[], float]] = {
        name: partial(_seconds_of, [*name.split(), "--help"]) for name in COMMANDS
    }
    contenders["helpers.federated"] = _import_seconds
    _seconds_of([*COMMANDS[3].split(), "--help"])  # a first run fills the disk cache
    seconds_of = in_turn(contenders, turns)
    imported = record.add(
        "import", "helpers.federated, all modules", "s", seconds_of.pop("helpers.federated")
    )
    answers = [record.add("--help", name, "s", seconds) for name, seconds in seconds_of.items()]
    record.target("--help of the slowest command", HELP_LIMIT_S, max(one.median for one in answers), "s")
    record.target("import of helpers.federated", IMPORT_LIMIT_S, imported.median, "s")
    _measure_worker(record, folder, 1 if quick else 5)


def _measure_worker(record: Record, folder: Path, turns: int) -> None:
    with start_server(find_binary(), folder / "redis") as server:
        worker = partial(_worker_seconds, server.url)
        worker()  # a first run fills the disk cache
        seconds_of = in_turn(
            {TENSORFLOW: partial(_seconds_of, ["-c", "import tensorflow"]), WORKER: worker}, turns
        )
    tensorflow = record.add("start of a worker", TENSORFLOW, "s", seconds_of[TENSORFLOW])
    ready = record.add("start of a worker", WORKER, "s", seconds_of[WORKER], tensorflow)
    late = ready.median - tensorflow.median
    record.target("a worker is ready, after TensorFlow's own import", READY_LIMIT_S, late, "s")


def _worker_seconds(redis_url: str) -> float:
    """Return the seconds until the heartbeat of a new worker says that it takes tasks; stop the worker."""
    client = connect(redis_url)
    began = time.perf_counter()
    with WorkerProcesses(["measured"], environment_of(redis_url, 1), lambda name, line: None):
        while not live_workers(client):
            if time.perf_counter() - began > READY_TIMEOUT_S:
                raise TimeoutError(f"a worker was not ready within {READY_TIMEOUT_S:g} s")
            time.sleep(0.02)
        return time.perf_counter() - began


def _seconds_of(arguments: list[str]) -> float:
    """Return the seconds a command of this interpreter takes."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def _import_seconds() -> float:
    """Return the seconds of importing all modules of helpers.federated in a new interpreter."""
    files = sorted((ROOT / "helpers/federated").rglob("[a-z]*.py"))
    names = ", ".join(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)
    program = f"import time; t = time.perf_counter(); import {names}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    return float(done.stdout)
