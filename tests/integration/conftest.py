"""One real server and three real workers for all integration tests; tiny images, tiny model."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import redis

from helpers.cluster.child_processes import ROOT
from helpers.cluster.connection import connect
from helpers.cluster.embedded_redis import RedisServer, find_binary, start_server
from helpers.cluster.worker_processes import WorkerProcesses, worker_environment

WORKERS = ["alpha", "beta", "gamma"]
SMALL = ["--input-shape", "16,16", "--train-batch-size", "8"]


def write_images(folder: Path, count: int, seed: int = 0) -> None:
    """Write `count` grey noise images in 0/ and 1/; those in 1/ have a bright square."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        label = number % 2
        image = generator.integers(0, 120, (20, 20), dtype=np.uint8)
        if label:
            image[6:14, 6:14] += 60
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / str(label) / f"{number:04d}.png"), image)


@dataclass(frozen=True)
class Cluster:
    """A running Redis with three workers, and the training command against them.

    Attributes:
        folder: images, prepared data, metrics and models lie here.
        environment: what every process of the cluster has in its environment.
        workers: the worker processes, in the order of WORKERS.
    """

    folder: Path
    environment: dict[str, str]
    server: RedisServer
    workers: WorkerProcesses

    @property
    def client(self) -> redis.Redis:
        return connect(self.server.url)

    def train(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the training command to its end."""
        process = self.start_training(*arguments)
        output, errors = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start_training(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the training command."""
        return subprocess.Popen(
            [sys.executable, "distributed_training_index.py", *SMALL, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def table(self, run: str, name: str) -> pd.DataFrame:
        """A CSV file of a run."""
        return pd.read_csv(self.folder / "metrics" / run / name)

    def weights(self, run: str) -> dict[str, bytes]:
        """The weight files of a run, by name; the names hold their digests."""
        return {file.name: file.read_bytes() for file in (self.folder / "models" / run).glob("weights-*")}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    write_images(folder / "images", 120)
    with start_server(find_binary(), folder / "redis") as server:
        environment = worker_environment(server.url, len(WORKERS)) | {
            "DT_DATA_DIR": str(folder / "images"),
            "DT_PREPROCESSED_DIR": str(folder / "preprocessed"),
            "DT_METRICS_DIR": str(folder / "metrics"),
            "DT_MODELS_DIR": str(folder / "models"),
            "DT_THREADS": "1",
        }
        prepare = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "16,16"]
        subprocess.run(prepare, cwd=ROOT, env=environment, check=True, capture_output=True)
        log = folder / "workers.log"

        def write(name: str, line: str) -> None:
            with log.open("a") as file:
                print(name, line, file=file)

        with WorkerProcesses(WORKERS, environment, write) as workers:
            workers.wait_until_ready(connect(server.url))
            yield Cluster(folder, environment, server, workers)


@pytest.fixture
def run_name(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Names of runs that belong to this test."""
    return lambda suffix="": f"{request.node.name.replace('[', '-').rstrip(']')}{suffix}"
