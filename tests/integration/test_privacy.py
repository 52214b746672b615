"""Private runs: ε in the records, a run that stops at its budget, and one that is resumed."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers.global_config import Config
from helpers.privacy.mechanism import mechanism_of
from tests.integration.conftest import Cluster

GROUPNORM = ("--architecture", "seed_cnn_groupnorm", "--num-workers", "2")
PRIVATE = ("--dp", "example", *GROUPNORM)


def epsilons(cluster: Cluster, run: str) -> tuple[list[float], pd.DataFrame]:
    return cluster.table(run, "rounds.csv")["epsilon"].tolist(), cluster.table(run, "clients.csv")


def test_a_run_meets_its_budget_and_shows_it_everywhere(cluster: Cluster) -> None:
    done = cluster.train("--run", "budget", *PRIVATE, "--dp-target-epsilon", "8", "--epochs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    spent, clients = epsilons(cluster, "budget")
    assert spent[0] < spent[1] <= 8
    assert spent[1] > 7.8
    assert clients.groupby("round")["epsilon"].max().tolist() == spent
    assert cluster.table("budget", "rounds.csv")["train_loss"].isna().all()
    assert f"ε {spent[0]:.2f}" in done.stdout
    assert "DP=example: noise multiplier" in done.stdout
    folder = cluster.folder / "metrics" / "budget"
    assert json.loads((folder / "run.json").read_text())["is_reproducible"] is False
    sentence = f"ε = {spent[1]:.3g}, δ = 1e-05: with or without any one training image"
    assert sentence in (folder / "report.html").read_text()
    card = (cluster.folder / "models" / "budget" / "model_card.md").read_text()
    assert sentence in card
    assert "cannot be repeated" in card


def test_a_run_stops_before_a_round_that_would_exceed_its_budget(cluster: Cluster) -> None:
    noise = ("--dp-noise-multiplier", "1")
    first = cluster.train("--run", "unbounded", *PRIVATE, *noise, "--epochs", "3")
    assert first.returncode == 0, first.stdout + first.stderr
    spent, _ = epsilons(cluster, "unbounded")
    budget = f"{(spent[1] + spent[2]) / 2:.4f}"
    done = cluster.train("--run", "stopped", *PRIVATE, *noise, "--epochs", "3", "--dp-target-epsilon", budget)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"stopped: another round would exceed DP_TARGET_EPSILON={float(budget):g}" in done.stdout
    assert epsilons(cluster, "stopped")[0] == spent[:2]
    again = cluster.train("--resume", "stopped")
    assert again.returncode == 0, again.stdout + again.stderr
    assert epsilons(cluster, "stopped")[0] == spent[:2]
    changed = cluster.train("--resume", "stopped", "--epochs", "9", "--force")
    assert changed.returncode == 2
    assert "start a new run: the privacy that was spent could not be added up" in changed.stderr


def test_a_budget_below_the_first_round_is_refused_at_the_start(cluster: Cluster) -> None:
    done = cluster.train(
        "--run", "poor", *PRIVATE, "--dp-noise-multiplier", "0.5", "--dp-target-epsilon", "1"
    )
    assert done.returncode == 2
    assert (
        "DP_TARGET_EPSILON: received 1, but with DP_NOISE_MULTIPLIER=0.5 the first round needs" in done.stderr
    )


@pytest.mark.long
def test_two_runs_of_the_same_settings_differ(cluster: Cluster) -> None:
    options = (*PRIVATE, "--dp-noise-multiplier", "1", "--epochs", "1")
    for run in ("once", "twice"):
        assert cluster.train("--run", run, *options).returncode == 0
    assert not set(cluster.weights("once", "weights-0001*")) & set(cluster.weights("twice", "weights-0001*"))


@pytest.mark.parametrize("strategy", ["fedavg", pytest.param("fedadam", marks=pytest.mark.long)])
def test_noise_at_the_server(cluster: Cluster, strategy: str) -> None:
    run = f"central-{strategy}"
    options = ("--dp-noise-multiplier", "0.7", "--max-update-ratio", "0", "--strategy", strategy)
    done = cluster.train("--run", run, "--dp", "client", *GROUPNORM, *options, "--epochs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    spent, clients = epsilons(cluster, run)
    settings = dict(
        Config(DP="client", DP_NOISE_MULTIPLIER=0.7, MAX_UPDATE_RATIO=0, ARCHITECTURE="seed_cnn_groupnorm")
    )
    assert spent == [mechanism_of(settings).epsilon(number) for number in (1, 2)]
    assert clients["epsilon"].tolist() == [spent[0]] * 2 + [spent[1]] * 2
    assert np.isfinite(cluster.table(run, "rounds.csv")["val_loss"]).all()
