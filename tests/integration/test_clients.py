"""Clients that are not workers: more of them, a sample of them, and as many as there are workers."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest

from helpers.cluster.heartbeat import live_workers
from helpers.federated.cohort import sample_clients
from tests.integration.conftest import Cluster

TIMES = ["seconds", "started_at", "transfer_seconds", "aggregation_started_at"]


def test_ten_clients_on_three_workers_of_which_half_take_part(cluster: Cluster) -> None:
    settings = ("--num-clients", "10", "--client-fraction", "0.5", "--min-clients", "1.0")
    done = cluster.train("--run", "sampled", "--epochs", "2", *settings)
    assert done.returncode == 0, done.stderr
    assert "retrying" not in done.stdout
    rounds, clients = cluster.table("sampled", "rounds.csv"), cluster.table("sampled", "clients.csv")
    assert rounds["num_clients"].tolist() == [5, 5]
    assert set(clients["status"]) == {"ok"}
    for number, rows in clients.groupby("round"):
        assert rows["client"].tolist() == sample_clients(range(10), 0.5, 42, int(number))
    assert clients["client"].nunique() > 5
    division = cluster.table("sampled", "partition.csv")
    sizes = division.groupby("client").size()
    assert (len(division), division["file"].nunique(), len(sizes)) == (568, 568, 10)
    assert (division["round"] == 1).all()
    assert np.array_equal(clients["num_examples"], sizes[clients["client"]])


@pytest.mark.long
def test_a_sampled_run_that_is_resumed_gives_the_numbers_of_one_that_is_not(cluster: Cluster) -> None:
    settings = ("--num-clients", "6", "--client-fraction", "0.4", "--partition", "dirichlet")
    settings += ("--update-dtype", "int8")
    assert cluster.train("--run", "in-one-go", "--epochs", "3", *settings).returncode == 0
    assert cluster.train("--run", "parts", "--epochs", "2", *settings).returncode == 0
    resumed = cluster.train("--resume", "parts", "--epochs", "3", "--force")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("rounds.csv", "clients.csv"):
        whole, parts = (
            cluster.table(run, name).drop(columns=[*TIMES, "worker"], errors="ignore")
            for run in ("in-one-go", "parts")
        )
        assert whole.equals(parts), name
    assert cluster.table("in-one-go", "partition.csv").equals(cluster.table("parts", "partition.csv"))
    assert cluster.weights("in-one-go") == cluster.weights("parts")


OF_ONE = ["--train-batch-size", "1"]
"""Rounds that last long enough to be stopped within."""


def test_as_many_clients_as_workers(cluster: Cluster) -> None:
    before = len(live_workers(cluster.client))
    training = cluster.start_training("--run", "auto", "--epochs", "3", "--num-workers", "auto", *OF_ONE)
    try:
        cluster.wait_for_task("train:1:")
        with frozen(training):  # so that no round begins meanwhile
            cluster.add_workers(1)
        cluster.wait_for_task("train:2:")
        with frozen(training):
            cluster.groups.pop().stop(grace_s=30)
        output, errors = training.communicate(timeout=400)
    finally:
        training.kill()
    assert training.returncode == 0, errors
    counts = [before, before + 1, before]
    assert f"round 2: {before + 1} clients instead of {before}" in output
    assert f"round 3: {before} clients instead of {before + 1}" in output
    rounds, clients = cluster.table("auto", "rounds.csv"), cluster.table("auto", "clients.csv")
    assert rounds["num_clients"].tolist() == counts
    assert clients.groupby("round").size().tolist() == counts
    assert (rounds["num_examples"] == 568).all()
    division = cluster.table("auto", "partition.csv").groupby("round")
    assert division["client"].nunique().to_dict() == dict(enumerate(counts, 1))
    assert (division["file"].nunique() == 568).all()


@contextlib.contextmanager
def frozen(process: subprocess.Popen[str]) -> Iterator[None]:
    """Stop a process in its tracks for a while."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_what_does_not_fit_the_images_is_refused_before_the_run(cluster: Cluster) -> None:
    for settings, said in (
        (("--num-clients", "569"), "received 569 for 568 training images"),
        (("--partition", "patient"), "PARTITION: received patient"),
        (("--partition", "site"), "column site of manifest.csv"),
    ):
        refused = cluster.train("--run", "unfit", *settings)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert not (cluster.folder / "metrics/unfit").exists()
