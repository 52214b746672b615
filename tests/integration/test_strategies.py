"""Runs under a strategy of each kind, with --long under all: numbers are finite, and equal after a resume."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load

from helpers.federated.strategies import DEFAULT, STRATEGIES
from tests.integration.conftest import Cluster, running_cluster
from tests.integration.test_faults import finish, rows_without_times

LONGER = ["--train-batch-size", "2", "--epochs", "3"]
WITH_STATE: dict[str, list[str]] = {
    "fedadam": [],
    "feddyn": ["--dynamic-alpha", "0.1", "--client-fraction", "0.67"],
}
"""Strategies with a state at the server, and options of their runs."""


@pytest.fixture(autouse=True)
def _three_workers(cluster: Cluster) -> None:
    cluster.have_workers(3)


@pytest.mark.parametrize("strategy", ["feddyn", pytest.param("fedadam", marks=pytest.mark.long)])
def test_a_killed_run_with_a_state_at_the_server_is_resumed_to_the_bit(
    cluster: Cluster, strategy: str
) -> None:
    whole, again = f"{strategy}-whole", f"{strategy}-resumed"
    options = ["--strategy", strategy, *LONGER, *WITH_STATE[strategy]]
    done = cluster.train("--run", whole, *options)
    assert done.returncode == 0, done.stderr
    training = cluster.start_training("--run", again, *options)
    cluster.wait_for_task("train:2")
    training.kill()
    finish(training)
    assert cluster.weights(again, "server-*")  # there is something to lose
    resumed = cluster.train("--resume", again)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("rounds.csv", "clients.csv", "test.csv"):
        pd.testing.assert_frame_equal(
            rows_without_times(cluster, again, name), rows_without_times(cluster, whole, name)
        )
    for kind in ("weights-*", "server-*", "state-*"):
        assert cluster.weights(again, kind) == cluster.weights(whole, kind)
    assert [name[:11] for name in cluster.weights(whole, "server-*")] == ["server-0003"]


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("fednova", ["--optimizer", "sgd", "--base-lr", "0.01", "--partition", "quantity"]),
        pytest.param("feddyn", ["--local-epochs", "2"], marks=pytest.mark.long),
        pytest.param("fedavgm", ["--max-update-norm", "1"], marks=pytest.mark.long),
        pytest.param("fedadagrad", [], marks=pytest.mark.long),
        pytest.param("fedyogi", ["--update-dtype", "int8"], marks=pytest.mark.long),
        pytest.param("median", ["--update-dtype", "float16"], marks=pytest.mark.long),
        pytest.param("trimmed_mean", ["--trim-fraction", "0.34"], marks=pytest.mark.long),
        pytest.param("krum", ["--num-workers", "5"], marks=pytest.mark.long),
        pytest.param(
            "multi_krum", ["--num-malicious", "0", "--max-update-norm", "1"], marks=pytest.mark.long
        ),
    ],
)
def test_a_run_ends_with_finite_numbers(cluster: Cluster, strategy: str, options: list[str]) -> None:
    done = cluster.train("--run", strategy, "--epochs", "2", "--strategy", strategy, *options)
    assert done.returncode == 0, done.stderr
    rounds = cluster.table(strategy, "rounds.csv")
    assert rounds["round"].tolist() == [1, 2]
    assert np.isfinite(rounds[["train_loss", "val_loss", "roc_auc"]].to_numpy()).all()
    assert set(cluster.table(strategy, "clients.csv")["status"]) == {"ok"}
    assert len(cluster.weights(strategy, "server-*")) == (2 if STRATEGIES[strategy].server_state else 0)


OWN = """
from helpers.federated.strategies.fedavg import FedAvg


class Doubled(FedAvg):
    def aggregate(self, updates, server):
        mean, state = super().aggregate(updates, server)
        return [2 * array for array in mean], state
"""


def test_a_users_own_strategy_runs_where_machines_allow_it(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "own_rules.py").write_text(OWN)
    name = "own_rules:Doubled"
    refused = cluster.train("--run", "refused", "--strategy", name)
    assert refused.returncode == 2
    assert f"DT_OWN_STRATEGIES={name}" in refused.stderr
    with running_cluster(tmp_path, num_workers=1) as own:
        own.environment |= {
            "PYTHONPATH": str(tmp_path),
            "DT_OWN_STRATEGIES": name,
            "DT_PREPROCESSED_DIR": str(cluster.folder / "preprocessed"),
        }
        own.add_workers(1)
        for run, strategy in (("doubled", name), ("plain", DEFAULT)):
            done = own.train("--run", run, "--strategy", strategy, "--epochs", "1")
            assert done.returncode == 0, done.stderr
        (doubled,), (plain,) = (own.weights(run).values() for run in ("doubled", "plain"))
    arrays, expected = load(doubled), load(plain)
    assert arrays.keys() == expected.keys()
    for array_name, array in arrays.items():
        np.testing.assert_array_equal(array, 2 * expected[array_name])
