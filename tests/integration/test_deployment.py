"""Three sites of a provisioned deployment, at Debian's Redis under TLS, and what one of them cannot do."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
import redis

from helpers.cluster.connection import connect
from helpers.cluster.versions import ROOT
from helpers.launcher.child_processes import start_apart, stop_all
from helpers.launcher.worker_processes import WorkerProcesses
from tests.integration.conftest import SMALL, log_to, places, write_images

SITES = {"north": 60, "south": 50, "east": 40}
ADMIN = "user admin on >only-the-test-knows ~* &* +@all\n"  # to ask what was denied


@dataclass
class Deployed:
    """A running deployment.

    Attributes:
        folder: everything, with the deployment in `provision`.
        groups: worker processes by member, all stopped at the end.
    """

    folder: Path
    groups: dict[str, WorkerProcesses] = field(default_factory=dict)

    def place(self, member: str) -> Path:
        at = self.folder / "provision"
        return at / member if member == "coordinator" else at / "sites" / member

    def environment(self, member: str) -> dict[str, str]:
        """The environment of a member, from its file."""
        place = self.place(member)
        (file,) = place.glob("*.env")
        script = f'. "{file}" && env -0'
        start = {**os.environ, "DT_DEPLOYMENT": str(place)}
        done = subprocess.run(["sh", "-c", script], env=start, check=True, capture_output=True, text=True)
        own = places(self.folder / member) | {"DT_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        return dict(line.split("=", 1) for line in done.stdout.split("\0") if line) | own

    def client(self, member: str) -> redis.Redis:
        return connect(self.environment(member)["REDIS_URL"])

    @property
    def admin(self) -> redis.Redis:
        url = self.environment("coordinator")["REDIS_URL"]
        place = url.partition("@")[2]
        return connect(f"rediss://admin:only-the-test-knows@{place}")

    def denied(self) -> list[tuple[str, str]]:
        return [(entry["username"], entry["object"]) for entry in self.admin.acl_log()]

    def start_worker(self, member: str) -> None:
        log = log_to(self.folder / f"{member}.log")
        self.groups[member] = WorkerProcesses([f"w-{member}"], self.environment(member), log)

    def train(self, run: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "distributed_training_index.py", *SMALL, "--data-at", "sites"]
        command += ["--min-clients", "3", "--worker-timeout-s", "20", "--run", run, *options]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment("coordinator"),
            capture_output=True,
            text=True,
            timeout=240,
        )

    def logs(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self.folder.glob("*.log")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    binary = shutil.which("redis-server")
    if binary is None or os.name != "posix":
        pytest.skip("needs redis-server on PATH (on Debian: apt-get install redis-server)")
    folder = tmp_path_factory.mktemp("deployment")
    provision = [
        sys.executable,
        "run.py",
        "provision",
        "--sites",
        ",".join(SITES),
        "--port",
        str(free_port()),
    ]
    subprocess.run([*provision, "--out", str(folder / "provision")], cwd=ROOT, check=True)
    deployed, server = Deployed(folder), folder / "provision/server"
    with (server / "users.acl").open("a") as users:
        users.write(ADMIN)
    log = server / "server.log"
    with log.open("wb") as output:
        script = f'cd "{server}" && exec "{binary}" redis.conf'
        process = start_apart(["sh", "-c", script], output)
    try:
        while "Ready to accept connections" not in log.read_text():
            if process.poll() is not None:
                pytest.skip(f"{binary} has no TLS or is older than 7: {log.read_text()[-500:]}")
            time.sleep(0.05)
        for name, count in SITES.items():
            write_images(folder / name / "images", count, seed=count)
            prepare = [sys.executable, "preprocessing/load_and_create_dataset.py"]
            prepare += ["--input-shape", "16,16", "--validation-fraction", "0.3"]
            subprocess.run(prepare, cwd=ROOT, env=deployed.environment(name), check=True, capture_output=True)
        for member in ("coordinator", *SITES):
            deployed.start_worker(member)
        for workers in deployed.groups.values():
            workers.wait_until_ready(deployed.client("coordinator"))
        yield deployed
    finally:
        for workers in deployed.groups.values():
            workers.stop(grace_s=5)
        stop_all([process])


def test_three_sites_train_without_a_denied_command(deployed: Deployed) -> None:
    done = deployed.train("first", "--epochs", "2", "--update-dtype", "int8")
    assert done.returncode == 0, done.stdout + done.stderr + deployed.logs()
    clients = pd.read_csv(deployed.folder / "coordinator/metrics/first/clients.csv")
    assert clients["site"].tolist() == sorted(SITES) * 2
    assert set(clients["status"]) == {"ok"}
    assert (deployed.folder / "coordinator/models/first/best.keras").exists()
    assert deployed.denied() == []
