"""One real server and three real workers for all integration tests; tiny images, tiny model."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import redis

from helpers.cluster.connection import connect
from helpers.cluster.heartbeat import live_workers
from helpers.cluster.versions import ROOT
from helpers.launcher.embedded_redis import RedisServer, find_binary, start_server
from helpers.launcher.worker_processes import Sink, WorkerProcesses, worker_environment

SMALL = ["--input-shape", "16,16", "--train-batch-size", "8"]


def write_images(folder: Path, count: int, seed: int = 0) -> None:
    """Write `count` gray noise images in 0/ and 1/; those in 1/ have a bright square."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        label = number % 2
        image = generator.integers(0, 120, (20, 20), dtype=np.uint8)
        if label:
            image[6:14, 6:14] += 60
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / str(label) / f"{number:04d}.png"), image)


@dataclass
class Cluster:
    """A running Redis with three workers, and the training command against them.

    Attributes:
        folder: images, prepared data, metrics and models lie here.
        environment: what every process of the cluster has in its environment.
        server: the Redis; tests that restart it put the new one here.
        groups: worker processes, all stopped at the end.
    """

    folder: Path
    environment: dict[str, str]
    server: RedisServer
    groups: list[WorkerProcesses]

    @property
    def client(self) -> redis.Redis:
        return connect(self.server.url)

    @contextmanager
    def redis_away(self) -> Iterator[None]:
        """Kill Redis; in the end it is back at the same address, with what its file has of the data."""
        port = int(self.server.url.rpartition(":")[2].partition("/")[0])
        assert self.server.process is not None
        self.server.process.kill()
        self.server.process.wait()
        try:
            yield
        finally:  # the other tests need it, whatever this one found
            self.server = start_server(find_binary(), self.folder / "redis", port)
            assert self.server.url.endswith(f":{port}/0")

    def pids(self) -> dict[str, int]:
        """Process ids of the live workers, by name; one that was just killed does not count."""
        found = {name: status["pid"] for name, status in live_workers(self.client).items()}
        return {name: pid for name, pid in found.items() if is_running(pid)}

    def have_workers(self, count: int) -> None:
        """Start workers, under new names, until `count` are there."""
        missing = count - len(self.pids())
        if missing > 0:
            self.add_workers(missing)

    def add_workers(self, count: int, **environment: str) -> list[str]:
        """Start workers under new names and wait until they are ready; returns their node names."""
        names = [f"extra{len(self.groups)}-{number}" for number in range(count)]
        log = self.folder / f"{names[0]}.log"
        workers = WorkerProcesses(names, self.environment | environment, log_to(log))
        self.groups.append(workers)
        workers.wait_until_ready(self.client)
        return [name for name in live_workers(self.client) if name.partition("@")[0].split("/")[-1] in names]

    def wait_for_task(self, job: str, timeout_s: float = 180.0) -> tuple[str, int]:
        """Wait until a worker shows a job that begins with `job`; returns its name and process id."""
        deadline = time.monotonic() + timeout_s
        client = self.client
        while time.monotonic() < deadline:
            for name, status in live_workers(client).items():
                if (status["task"] or {}).get("job", "").startswith(job):
                    return name, status["pid"]
            time.sleep(0.002)
        raise AssertionError(f"no worker showed {job} within {timeout_s} s")

    def train(self, *arguments: str, at_once: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the training command to its end."""
        process = self.start_training(*arguments, at_once=at_once)
        output, errors = process.communicate(timeout=400)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start_training(self, *arguments: str, at_once: bool = True) -> subprocess.Popen[str]:
        """Start the training command.

        A resumed run has its own settings. Unless `at_once`, it waits for a sign of the earlier orchestrator.
        """
        resumed = ["--take-over"] if at_once else []
        extra = resumed if "--resume" in arguments else SMALL
        return subprocess.Popen(
            [sys.executable, "distributed_training_index.py", *extra, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def table(self, run: str, name: str) -> pd.DataFrame:
        """A CSV file of a run."""
        return pd.read_csv(self.folder / "metrics" / run / name)

    def weights(self, run: str, pattern: str = "weights-*") -> dict[str, bytes]:
        """The files of arrays of a run, by name; the names hold their digests."""
        return {file.name: file.read_bytes() for file in (self.folder / "models" / run).glob(pattern)}


def log_to(path: Path) -> Sink:
    """What appends the lines that workers print to a file."""

    def write(name: str, line: str) -> None:
        with path.open("a") as file:
            print(name, line, file=file)

    return write


def is_running(pid: int) -> bool:
    """Whether a process runs, or is stopped; a zombie does neither."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def places(folder: Path) -> dict[str, str]:
    """All folders that a process reads or writes, inside one."""
    return {
        "DT_DATA_DIR": str(folder / "images"),
        "DT_PREPROCESSED_DIR": str(folder / "preprocessed"),
        "DT_METRICS_DIR": str(folder / "metrics"),
        "DT_MODELS_DIR": str(folder / "models"),
        "DT_SITE_DIR": str(folder / "sites"),
    }


@contextmanager
def running_cluster(folder: Path, num_workers: int) -> Iterator[Cluster]:
    """A Redis, and an environment for `num_workers` workers that share the machine; all stop at the end."""
    with start_server(find_binary(), folder / "redis") as server:
        environment = worker_environment(server.url, num_workers) | places(folder) | {"DT_THREADS": "1"}
        cluster = Cluster(folder, environment, server, [])
        try:
            yield cluster
        finally:
            for group in cluster.groups:
                group.stop(grace_s=5)
            cluster.server.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    write_images(folder / "images", 900)
    with running_cluster(folder, num_workers=3) as cluster:
        prepare = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "16,16"]
        subprocess.run(prepare, cwd=ROOT, env=cluster.environment, check=True, capture_output=True)
        cluster.add_workers(3)
        yield cluster
