"""Twelve rounds under a seeded schedule of faults: they end, and no bit differs from the calm run."""

import collections
import os
import signal
import threading
import time

import numpy as np
import pytest

from helpers.cluster.heartbeat import live_workers
from helpers.launcher.embedded_redis import find_binary, start_server
from tests.integration.conftest import Cluster, is_running

ROUNDS = 12
SEED = int(time.strftime("%Y%m%d"))
"""A new schedule each day; it is printed."""
OPTIONS = ["--epochs", str(ROUNDS), "--train-batch-size", "1"]


def wait_for_round(cluster: Cluster, kind: str, round_number: int) -> int:
    """Wait until a worker trains (`train`) or aggregates in that round or a later one; its process id."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for status in live_workers(cluster.client).values():
            job = ((status["task"] or {}).get("job") or "").split(":")
            if job[0] == kind and int(job[1]) >= round_number and is_running(status["pid"]):
                return int(status["pid"])
        time.sleep(0.002)
    raise AssertionError(f"no worker showed {kind} in round {round_number}")


def kill_trainer(cluster: Cluster, round_number: int) -> None:
    os.kill(wait_for_round(cluster, "train", round_number), signal.SIGKILL)


def stop_trainer(cluster: Cluster, round_number: int) -> None:
    pid = wait_for_round(cluster, "train", round_number)
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(18, os.kill, (pid, signal.SIGCONT)).start()  # later than its heartbeat lapses


def kill_aggregator(cluster: Cluster, round_number: int) -> None:
    os.kill(wait_for_round(cluster, "aggregate", round_number), signal.SIGKILL)


def restart_redis(cluster: Cluster, round_number: int) -> None:
    wait_for_round(cluster, "train", round_number)
    port = int(cluster.server.url.rpartition(":")[2].partition("/")[0])
    assert cluster.server.process is not None
    cluster.server.process.kill()
    cluster.server.process.wait()
    cluster.server = start_server(find_binary(), cluster.folder / "redis", port)


def drop_connections(cluster: Cluster, round_number: int) -> None:
    wait_for_round(cluster, "train", round_number)
    for kind in ("normal", "pubsub"):
        cluster.client.execute_command("CLIENT", "KILL", "TYPE", kind)


FAULTS = [kill_trainer, stop_trainer, kill_aggregator, restart_redis, drop_connections]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_twelve_rounds_under_faults(cluster: Cluster) -> None:
    cluster.have_workers(3)
    assert cluster.train("--run", "chaos-calm", *OPTIONS).returncode == 0
    print(f"seed {SEED}")
    generator = np.random.default_rng(SEED)
    faulty = sorted(generator.choice(np.arange(1, ROUNDS + 1), 8, replace=False).tolist())
    order = [*FAULTS, *generator.choice(len(FAULTS), 3).tolist()]
    schedule = [fault if callable(fault) else FAULTS[fault] for fault in order]
    generator.shuffle(schedule)  # type: ignore[arg-type]

    cluster.have_workers(3 + sum("kill" in fault.__name__ for fault in schedule))
    training = cluster.start_training("--run", "chaos", *OPTIONS)
    injected: collections.Counter[str] = collections.Counter()
    for round_number, fault in zip(faulty, schedule, strict=True):
        fault(cluster, round_number)
        injected[fault.__name__] += 1
    output, errors = training.communicate(timeout=300)
    assert training.returncode == 0, output + errors
    print(f"injected: {dict(injected)} in rounds {faulty}; what was said:")
    print("\n".join(line for line in output.splitlines() if line[2:3] == line[5:6] == ":"))
    clients = cluster.table("chaos", "clients.csv")
    assert len(clients) == 3 * ROUNDS
    assert set(clients["status"]) == {"ok"}
    assert cluster.weights("chaos") == cluster.weights("chaos-calm")
