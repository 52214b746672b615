"""Clients that remember and those that do not: resumed, and on any number of workers, a run is the same."""

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import pytest
from celery import Celery

from helpers.federated.messages import TRAIN_QUEUE
from tests.integration.conftest import Cluster
from tests.integration.test_faults import finish, rows_without_times

LONGER = ["--epochs", "3", "--train-batch-size", "4", "--min-clients", "3"]
KINDS: dict[str, list[str]] = {
    "scaffold": ["--optimizer", "sgd", "--base-lr", "0.01", "--local-epochs", "2", "--strategy", "scaffold"],
    "local": ["--update-dtype", "int8", "--batch-norm", "local"],
    "kept": [
        *("--optimizer-state", "keep", "--lr-schedule", "cosine", "--logit-adjustment", "true"),
        *("--label-smoothing", "0.1", "--ema-decay", "0.5", "--batch-norm-statistics", "round"),
    ],
}
"""Options by name of the run: control variates, batch normalization and error feedback, and all of
docs/training.md that Adam can do.
"""
AS_A_SAMPLE = [pytest.param(kind, marks=() if kind == "kept" else pytest.mark.long) for kind in KINDS]
"""One of the kinds, and the others with --long."""
ALL_KINDS = {**KINDS, "plain": []}
"""And a run that remembers nothing: FedAvg, as it is by default."""


def assert_same_runs(cluster: Cluster, run: str, other: str) -> None:
    for name in ("rounds.csv", "clients.csv", "test.csv"):
        pd.testing.assert_frame_equal(
            rows_without_times(cluster, run, name), rows_without_times(cluster, other, name), check_exact=True
        )
    assert cluster.weights(run, "*.safetensors") == cluster.weights(other, "*.safetensors")


@contextmanager
def only_training(cluster: Cluster, count: int) -> Iterator[None]:
    """All but `count` workers leave the trainings to the others."""
    control = Celery(broker=cluster.server.url).control
    resting = sorted(cluster.pids())[count:]
    control.cancel_consumer(TRAIN_QUEUE, destination=resting, reply=True, timeout=20, limit=len(resting))
    try:
        yield
    finally:
        control.add_consumer(TRAIN_QUEUE, destination=resting, reply=True, timeout=20, limit=len(resting))


@pytest.fixture(scope="module", params=ALL_KINDS)
def whole(request: pytest.FixtureRequest, cluster: Cluster) -> str:
    """The name of an undisturbed run on three workers."""
    cluster.have_workers(3)
    run: str = request.param
    done = cluster.train("--run", run, *LONGER, *ALL_KINDS[run])
    assert done.returncode == 0, done.stderr
    return run


@pytest.mark.parametrize("whole", KINDS, indirect=True)
def test_what_is_remembered_is_written_and_counted(cluster: Cluster, whole: str) -> None:
    assert len(cluster.weights(whole, "state-0003-*")) == 3
    rounds = cluster.table(whole, "rounds.csv")
    clients = cluster.table(whole, "clients.csv")
    assert clients.groupby("round")["state_bytes"].sum().tolist() == rounds["state_bytes"].tolist()
    written, both, last = (rounds["state_bytes"] / rounds["bytes_down"][0]).tolist()
    assert both == last == pytest.approx(2 * written)
    if whole == "scaffold":
        assert (rounds["num_examples"] == 2 * 568).all()  # LOCAL_EPOCHS
        assert written == pytest.approx(1, abs=0.03)  # a control variate has the size of the model
        told = (rounds["bytes_down"] / rounds["bytes_down"][0]).tolist()
        assert told == pytest.approx([1, 2, 2], abs=0.03)  # and so has the server's
    assert not list(cluster.client.scan_iter(f"dt:run:{whole}:*:state:*"))
    assert not list(cluster.client.scan_iter(f"dt:run:{whole}:*:control:*"))


@pytest.mark.parametrize("whole", ["local"], indirect=True)
def test_what_is_remembered_tells_from_the_second_round_on(cluster: Cluster, whole: str) -> None:
    done = cluster.train("--run", "without", *LONGER, "--update-dtype", "int8", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    runs = [cluster.table(run, "rounds.csv")["train_loss"] for run in (whole, "without")]
    assert runs[0][0] == runs[1][0]
    assert runs[0][1] != runs[1][1]


@pytest.mark.parametrize("whole", AS_A_SAMPLE, indirect=True)
def test_a_resumed_run_is_the_same_to_the_bit(cluster: Cluster, whole: str) -> None:
    training = cluster.start_training("--run", f"{whole}-resumed", *LONGER, *KINDS[whole])
    cluster.wait_for_task("train:3")
    training.kill()
    finish(training)
    assert cluster.weights(f"{whole}-resumed", "state-000[23]-*")  # its chord may end round 3
    resumed = cluster.train("--resume", f"{whole}-resumed")
    assert resumed.returncode == 0, resumed.stderr
    assert_same_runs(cluster, f"{whole}-resumed", whole)


@pytest.mark.parametrize("count", [2, pytest.param(1, marks=pytest.mark.long)])
def test_the_number_of_workers_changes_no_bit(cluster: Cluster, whole: str, count: int) -> None:
    run = f"{whole}-on-{count}"
    with only_training(cluster, count):
        done = cluster.train("--run", run, *LONGER, *ALL_KINDS[whole])
    assert done.returncode == 0, done.stderr
    assert len(set(cluster.table(run, "clients.csv")["worker"])) == count
    assert_same_runs(cluster, run, whole)
