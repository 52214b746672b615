"""Twelve rounds under a seeded schedule of faults: they end, and no bit differs from the calm run."""

import collections
import os
import signal
import time

import numpy as np
import pytest

from helpers.cluster.embedded_redis import find_binary, start_server
from tests.integration.conftest import Cluster

ROUNDS = 12
SEED = 20
OPTIONS = ["--epochs", str(ROUNDS), "--train-batch-size", "1"]


def kill_trainer(cluster: Cluster, round_number: int) -> None:
    _, pid = cluster.wait_for_task(f"train:{round_number}:")
    os.kill(pid, signal.SIGKILL)
    cluster.have_workers(3)


def stop_trainer(cluster: Cluster, round_number: int) -> None:
    _, pid = cluster.wait_for_task(f"train:{round_number}:")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(18)  # longer than its heartbeat
    os.kill(pid, signal.SIGCONT)


def kill_aggregator(cluster: Cluster, round_number: int) -> None:
    _, pid = cluster.wait_for_task(f"aggregate:{round_number}")
    os.kill(pid, signal.SIGKILL)
    cluster.have_workers(3)


def restart_redis(cluster: Cluster, round_number: int) -> None:
    cluster.wait_for_task(f"train:{round_number}:")
    port = int(cluster.server.url.rpartition(":")[2].partition("/")[0])
    assert cluster.server.process is not None
    cluster.server.process.kill()
    cluster.server.process.wait()
    cluster.server = start_server(find_binary(), cluster.folder / "redis", port)


def drop_connections(cluster: Cluster, round_number: int) -> None:
    cluster.wait_for_task(f"train:{round_number}:")
    for kind in ("normal", "pubsub"):
        cluster.client.execute_command("CLIENT", "KILL", "TYPE", kind)


FAULTS = [kill_trainer, stop_trainer, kill_aggregator, restart_redis, drop_connections]


@pytest.mark.timeout(600)
def test_twelve_rounds_under_faults(cluster: Cluster) -> None:
    cluster.have_workers(3)
    assert cluster.train("--run", "chaos-calm", *OPTIONS).returncode == 0
    generator = np.random.default_rng(SEED)
    faulty = sorted(generator.choice(np.arange(1, ROUNDS + 1), 8, replace=False).tolist())
    order = [*FAULTS, *generator.choice(len(FAULTS), 3).tolist()]
    schedule = [fault if callable(fault) else FAULTS[fault] for fault in order]
    generator.shuffle(schedule)  # type: ignore[arg-type]

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
