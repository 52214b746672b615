"""Runs under every strategy: they end with finite numbers, and a resume gives the same bits."""

import numpy as np
import pandas as pd
import pytest

from tests.integration.conftest import Cluster
from tests.integration.test_faults import finish, rows_without_times

LONGER = ["--strategy", "fedadam", "--train-batch-size", "2", "--epochs", "3"]


@pytest.fixture(autouse=True)
def _three_workers(cluster: Cluster) -> None:
    cluster.have_workers(3)


def test_a_killed_run_with_momenta_at_the_server_is_resumed_to_the_bit(cluster: Cluster) -> None:
    done = cluster.train("--run", "adam-whole", *LONGER)
    assert done.returncode == 0, done.stderr
    training = cluster.start_training("--run", "adam-resumed", *LONGER)
    cluster.wait_for_task("train:2")
    training.kill()
    finish(training)
    assert cluster.weights("adam-resumed", "server-*")  # there is something to lose
    resumed = cluster.train("--resume", "adam-resumed")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("rounds.csv", "clients.csv", "test.csv"):
        pd.testing.assert_frame_equal(
            rows_without_times(cluster, "adam-resumed", name), rows_without_times(cluster, "adam-whole", name)
        )
    for kind in ("weights-*", "server-*"):
        assert cluster.weights("adam-resumed", kind) == cluster.weights("adam-whole", kind)
    assert [name[:11] for name in sorted(cluster.weights("adam-whole", "server-*"))] == [
        "server-0002",
        "server-0003",
    ]


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("fedavgm", ["--max-update-norm", "1"]),
        ("fedadagrad", []),
        ("fedyogi", ["--update-dtype", "int8"]),
        ("median", ["--update-dtype", "float16"]),
        ("trimmed_mean", ["--trim-fraction", "0.34"]),
        ("krum", ["--num-workers", "5"]),
        ("multi_krum", ["--num-malicious", "0", "--max-update-norm", "1"]),
    ],
)
def test_a_run_ends_with_finite_numbers(cluster: Cluster, strategy: str, options: list[str]) -> None:
    done = cluster.train("--run", strategy, "--epochs", "2", "--strategy", strategy, *options)
    assert done.returncode == 0, done.stderr
    rounds = cluster.table(strategy, "rounds.csv")
    assert rounds["round"].tolist() == [1, 2]
    assert np.isfinite(rounds[["train_loss", "val_loss", "roc_auc"]].to_numpy()).all()
    assert set(cluster.table(strategy, "clients.csv")["status"]) == {"ok"}
    has_state = strategy.startswith("fed")
    assert len(cluster.weights(strategy, "server-*")) == (2 if has_state else 0)
