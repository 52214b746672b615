"""Runs with compressed updates: what they cost, that they train, and that a resume gives the same bits."""

import os
import signal
from collections.abc import Callable

import pandas as pd
import pytest

from tests.integration.conftest import Cluster
from tests.integration.test_faults import finish, rows_without_times

LONGER = ["--train-batch-size", "2", "--epochs", "3", "--update-dtype", "int8"]
"""Not 1 image a batch: batch normalization of one pixel of one image is 0, and no kernel would change."""


@pytest.fixture(autouse=True)
def _three_workers(cluster: Cluster) -> None:
    cluster.have_workers(3)


@pytest.mark.parametrize(
    ("dtype", "share"),
    [
        pytest.param("float32", 1.0, marks=pytest.mark.long),
        pytest.param("float16", 0.5, marks=pytest.mark.long),
        ("int8", 0.25),
    ],
)
def test_compressed_updates_are_smaller_and_train(cluster: Cluster, dtype: str, share: float) -> None:
    done = cluster.train("--run", dtype, "--epochs", "2", "--update-dtype", dtype)
    assert done.returncode == 0, done.stderr
    rounds = cluster.table(dtype, "rounds.csv")
    assert (rounds["bytes_up"] / rounds["bytes_down"]).tolist() == pytest.approx([share] * 2, abs=0.03)
    assert rounds["train_loss"][1] < rounds["train_loss"][0]
    clients = cluster.table(dtype, "clients.csv")
    assert set(clients["status"]) == {"ok"}
    states = (rounds["state_bytes"] / rounds["bytes_down"]).tolist()  # written, then written and read
    assert states == pytest.approx([0.25, 0.5], abs=0.03) if dtype == "int8" else states == [0, 0]
    assert clients.groupby("round")["state_bytes"].sum().tolist() == rounds["state_bytes"].tolist()
    assert list(rounds.columns)[-7:-4] == ["state_bytes", "num_scored", "roc_auc_over"]
    assert list(clients.columns)[-6:-2] == ["state_bytes", "val_loss", "val_recall", "val_specificity"]
    files = [file.name for file in (cluster.folder / "models" / dtype).glob("state-*")]
    assert len(files) == (3 if dtype == "int8" else 0)
    assert not list(cluster.client.scan_iter(f"dt:run:{dtype}:*:state:*"))


@pytest.fixture(scope="module")
def whole(cluster: Cluster) -> Callable[[str], None]:
    """Checks that a run left what an undisturbed one of LONGER did."""
    cluster.have_workers(3)
    done = cluster.train("--run", "int8-whole", *LONGER)
    assert done.returncode == 0, done.stderr
    assert len(set(states(cluster, "int8-whole").values())) == 3  # there is something to remember

    def check(run: str) -> None:
        for name in ("rounds.csv", "clients.csv", "test.csv"):
            pd.testing.assert_frame_equal(
                rows_without_times(cluster, run, name), rows_without_times(cluster, "int8-whole", name)
            )
        assert cluster.weights(run) == cluster.weights("int8-whole")
        assert states(cluster, run) == states(cluster, "int8-whole")

    return check


def states(cluster: Cluster, run: str) -> dict[str, bytes]:
    """The files of what clients remember, by name."""
    return {file.name: file.read_bytes() for file in (cluster.folder / "models" / run).glob("state-*")}


@pytest.mark.long
def test_a_resumed_run_with_error_feedback_is_the_same_to_the_bit(
    cluster: Cluster, whole: Callable[[str], None]
) -> None:
    training = cluster.start_training("--run", "int8-resumed", *LONGER)
    cluster.wait_for_task("train:2")
    training.kill()
    finish(training)
    assert states(cluster, "int8-resumed")  # there is something to lose
    resumed = cluster.train("--resume", "int8-resumed")
    assert resumed.returncode == 0, resumed.stderr
    whole("int8-resumed")


@pytest.mark.long
def test_whoever_takes_over_a_client_takes_over_what_it_remembers(
    cluster: Cluster, whole: Callable[[str], None]
) -> None:
    training = cluster.start_training("--run", "int8-killed", *LONGER)
    _, pid = cluster.wait_for_task("train:2")
    os.kill(pid, signal.SIGKILL)
    status, printed = finish(training)
    assert status == 0, printed
    assert "died; retrying on another worker" in printed
    whole("int8-killed")
