"""`run.py tune`: its options and what it prints."""

import importlib.util
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from commands import tune
from commands.search_space import Search
from commands.tune import gain_by_chance, main, print_trials, words_of_train
from helpers.settings.errors import DIVERGED, ConfigError, UserError

SEARCHES = [Search.of("base_lr=1e-5..1e-2:log")]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "tune: say what is tuned"),
        (["--search", "base_lr=1..2", "--search", "BASE_LR=1..3"], "a setting is named twice"),
        (["--search", "base_lr=1..2", "--trials", "0"], "--trials: received 0"),
        (["--search", "base_lr=1..2", "--folds", "1"], "--folds: received 1"),
        (["--search", "base_lr=1..2", "--compare"], "are for one training"),
        (["--search", "base_lr=-1..2"], "BASE_LR: received"),
        (["--search", "optimizer=adam,adamw"], "OPTIMIZER: received"),
    ],
)
def test_mistakes_are_refused_before_images_are_prepared(arguments, message):
    with pytest.raises(UserError, match=message):
        main(arguments)


def test_without_optuna_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"setup tune` installs requirements-tune\.txt"):
        main(["--search", "base_lr=0.1..0.2"])


def trials(gain: float, gain_sd: float) -> pd.DataFrame:
    rows = [
        {"trial": "3", "state": "complete", "validation_auc": 0.8, "sd": 0.02, "gain": gain,
         "gain_sd": gain_sd, "fold_1": 0.8, "fold_2": 0.8, "BASE_LR": 0.00123456},
        {"trial": "as set", "state": "complete", "validation_auc": 0.8 - gain, "sd": 0.03, "gain": 0.0,
         "gain_sd": 0.0},
        {"trial": "4", "state": "pruned"},
    ]  # fmt: skip
    return pd.DataFrame(rows)


def printed(table: pd.DataFrame) -> str:
    console = Console(file=StringIO(), width=100)
    print_trials(table, SEARCHES, ["--data-dir", "my images"], Path("tune.csv"), console)
    return " ".join(console.file.getvalue().split())


def test_every_gain_has_its_spread_and_the_best_values_a_command():
    text = printed(trials(0.05, 0.01))
    assert "1 trials finished, 1 ended early or refused" in text
    assert "3 0.800 0.020 0.050 0.010 0.001235" in text
    assert "as set 0.750 0.030 0.000 0.000 –" in text
    assert "gain is 0.050, more than the 0.045 that" in text  # t(.95, 1 degree of freedom) = 6.314
    assert "python run.py train --data-dir 'my images' --base-lr=0.00123456" in text


def test_a_gain_that_may_be_chance_is_called_so():
    text = printed(trials(0.04, 0.01))
    assert "gain is 0.040, as may be by chance, not more than the 0.045 that" in text
    assert "python run.py train --data-dir" in text


def test_the_settings_as_they_are_are_shown_after_many_better_trials():
    many = pd.concat([trials(0.05, 0.01).iloc[[0]]] * 12 + [trials(0.05, 0.01).iloc[1:]])
    assert "as set 0.750 0.030" in printed(many)


@pytest.mark.parametrize(("num_folds", "num_trials"), [(2, 1), (5, 20), (10, 3)])
def test_trials_without_effect_pass_the_gain_by_chance_in_at_most_5_percent_of_searches(
    num_folds, num_trials
):
    rng = np.random.default_rng(1)
    baseline = rng.normal(size=(4000, 1, num_folds))
    gains = rng.normal(size=(4000, num_trials, num_folds)) - baseline
    error = gains.std(axis=2, ddof=1) / num_folds**0.5
    passed = (gains.mean(axis=2) > error * gain_by_chance(1.0, num_folds, num_trials)).any(axis=1)
    assert 0.01 < passed.mean() < 0.06


def test_a_gain_within_the_spread_of_the_folds_is_none():
    text = printed(trials(0.01, 0.05))
    assert "No trial is better than the settings as they are by more than the folds differ." in text
    assert "run.py train" not in text


def test_options_of_the_search_are_no_options_of_a_training():
    words = [
        "--search",
        "base_lr=1..2",
        "--run",
        "a",
        "--epochs",
        "3",
        "--folds=4",
        "--workers",
        "2",
        "--trials",
        "9",
    ]
    assert words_of_train(words) == ["--epochs", "3", "--workers", "2"]


def test_values_with_which_a_training_diverges_are_refused_and_other_failures_are_not(monkeypatch, tmp_path):
    lines = [f"client 0 failed: FloatingPointError: {DIVERGED}: its loss is nan; lower BASE_LR"]

    def run_training(request, num_workers, logs, *, on_line, watch):
        for line in lines:
            on_line(line)
        return 3

    monkeypatch.setattr(tune, "run_training", run_training)
    train = tune._training(None, tmp_path)
    request = SimpleNamespace(run="fold-1")
    with pytest.raises(ConfigError, match=r"fold-1: .* its loss is nan; lower BASE_LR"):
        train(request, lambda: None)
    lines[:] = ["error: Redis does not answer"]
    assert train(request, lambda: None) == 3
    assert "Redis does not answer" in (tmp_path / "fold-1.log").read_text()
