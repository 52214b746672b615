"""Celery's web monitor Flower, which the project does not install, sees the workers of `up --events`."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.cluster.connection import connect
from helpers.cluster.heartbeat import live_workers
from helpers.cluster.versions import ROOT
from helpers.launcher.child_processes import start_apart, stop_all
from tests.integration.conftest import Cluster, running_cluster, write_images

pytestmark = pytest.mark.long
TIMEOUT_S = 120


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cluster]:
    """A Redis without workers, and prepared images."""
    write_images(tmp_path / "images", 90)
    with running_cluster(tmp_path, num_workers=3) as cluster:
        prepare = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "16,16"]
        subprocess.run(prepare, cwd=ROOT, env=cluster.environment, check=True, capture_output=True)
        yield cluster


def ask(port: int, path: str) -> Any:
    """Return what Flower's API answers; None while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20) as answer:
            return json.load(answer)
    except OSError:
        return None


def wait_for(what: Any) -> Any:
    """Return the first value of a function that is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (value := what()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return value


def test_flower_sees_three_workers_and_their_finished_tasks(own: Cluster) -> None:
    pytest.importorskip("flower")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    flower = [sys.executable, "-m", "celery", "flower", "--address=127.0.0.1", f"--port={port}"]
    up = [sys.executable, "run.py", "up", "--workers", "3", "--events"]
    variables = {"BROKER_URL": own.server.url, "FLOWER_UNAUTHENTICATED_API": "true"}
    processes = []
    try:
        with (own.folder / "up.log").open("wb") as log, (own.folder / "flower.log").open("wb") as other:
            processes.append(start_apart(flower, other, {**os.environ, **variables}))
            processes.append(start_apart(up, log, own.environment))
        wait_for(lambda: ask(port, "api/task/types"))  # Flower listens before the workers come
        wait_for(lambda: len(live_workers(connect(own.server.url))) == 3)
        assert own.train("--run", "seen", "--epochs", "2").returncode == 0

        def finished() -> dict[str, int] | None:
            tasks = [task for task in (ask(port, "api/tasks") or {}).values() if task["state"] == "SUCCESS"]
            names = [task["name"] for task in tasks]
            return {name: names.count(name) for name in names} if "tasks.finish_run" in names else None

        counts = wait_for(finished)
        assert (counts["tasks.train"], counts["tasks.aggregate"]) == (6, 2)
        online = wait_for(lambda: (ask(port, "workers?json=1") or {}).get("data"))
        assert [worker["status"] for worker in online] == [True] * 3
        names = {worker["hostname"].partition("@")[0] for worker in online}
        assert names == {"worker1", "worker2", "worker3"}
    finally:
        stop_all(processes)
