"""`--compare`: what is trained with which settings, what is refused before that, what is left."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import distributed_training_index
from commands import budgets
from commands.budgets import Budget, budgets_of, compare_budgets
from helpers.federated.results import RunState
from helpers.global_config import Config
from helpers.run_records import checkpoint
from helpers.run_records.files import RunFolders
from helpers.settings.errors import ConfigError
from helpers.settings.recipes import recipe_names

LABELS = np.tile([0, 1], 20)
ALL = ["first", "first-pooled", "first-client-0-alone", "first-client-1-alone", "first-client-2-alone"]


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    monkeypatch.setenv("DT_METRICS_DIR", str(tmp_path / "metrics"))
    monkeypatch.setenv("DT_MODELS_DIR", str(tmp_path / "models"))
    return Config.load(EPOCHS=7)


def begin(config: Config, run: str) -> None:
    """The state of a run that has begun."""
    facts = {"settings": config.for_run(), "data_digest": "d", "versions": {}}
    checkpoint.commit(RunFolders.of(config, run), RunState(run, 1, "w", None, None, None), facts)


def write_test(config: Config, run: str) -> None:
    """A test of federated that is right about every image, and of all others that guess; undefined recall."""
    folder = config.METRICS_DIR / run
    folder.mkdir(parents=True)
    names = ("roc_auc", "specificity", "sensitivity_at_90_specificity")
    auc = 1.0 if run == "first" else 0.5
    row = dict.fromkeys(names, auc) | {"roc_auc_low": auc, "roc_auc_high": auc, "recall": ""}
    pd.DataFrame([row]).to_csv(folder / "test.csv", index=False)
    scores = LABELS * 0.5 if run == "first" else np.full(40, 0.5)
    files = np.arange(40).astype(str)
    arrays = {"labels": LABELS, "scores": scores, "files": files, "patients": files}
    np.savez(folder / "scores.npz", **{f"test_{name}": array for name, array in arrays.items()})


@pytest.fixture
def compare(config) -> Callable[..., list[tuple[str, str | None]]]:
    """Compares without training; returns the runs in their order, each with what it resumed."""

    def compare(config: Config = config, run: str = "first", **options: object) -> list:
        trained = []

        def train(options: argparse.Namespace, config: Config, run: str) -> None:
            trained.append((run, options.resume))
            write_test(config, run)

        namespace = argparse.Namespace(**{"resume": None, "overwrite": False, **options})
        compare.trained = trained
        compare_budgets(namespace, config, run, train)
        return trained

    return compare


def clients_of(way: Budget) -> list[int]:
    return way.config.clients_of(way.config.num_clients)


def test_every_way_spends_the_same_budget():
    config = Config.load(EPOCHS=7, BASE_LR=0.001, LR_SCALING="linear", ROUND_DEADLINE_S=60, num_workers=3)
    ways = {way.name: way for way in budgets_of(config, "first")}
    assert [way.run for way in ways.values()] == ALL
    assert list(ways) == ["federated", "pooled", "client 0 alone", "client 1 alone", "client 2 alone"]
    assert {way.config.EPOCHS for way in ways.values()} == {7}
    assert {way.config.learning_rate for way in ways.values()} == {3 * 0.001}
    assert [clients_of(way) for way in ways.values()] == [[0, 1, 2], [0], [0], [1], [2]]
    assert [way.config.num_clients for way in ways.values()] == [3, 1, 3, 3, 3]
    assert [way.config.ROUND_DEADLINE_S for way in ways.values()] == [60, 180, 60, 60, 60]


def test_what_is_compared_with_is_plain_training_whatever_the_strategy():
    config = Config.load(num_workers=5, STRATEGY="krum", MAX_UPDATE_NORM=0.5)
    federated, *others = budgets_of(config, "first")
    assert federated.config == config
    assert {(way.config.STRATEGY, way.config.MAX_UPDATE_NORM) for way in others} == {("fedavg", 0.0)}


@pytest.mark.parametrize("recipe", recipe_names())
def test_all_trainings_have_the_recipe(recipe):
    budgets = budgets_of(Config.load(RECIPE=recipe), "first")
    trained = [
        {name: getattr(one.config, name) for name in ("RECIPE", "EPOCHS", "CHOICE")} for one in budgets
    ]
    assert trained == [trained[0]] * 5


def test_clients_may_be_named_if_they_are_all():
    ways = budgets_of(Config.load(CLIENTS="2,0,1"), "first")
    assert [clients_of(way) for way in ways] == [[0, 1, 2], [0], [0], [1], [2]]


def test_ten_clients_on_three_workers_are_twelve_trainings():
    ways = budgets_of(Config.load(NUM_CLIENTS=10, PARTITION="dirichlet"), "first")
    assert [clients_of(way) for way in ways[1:3]] == [[0], [0]]
    assert (len(ways), ways[1].config.num_clients, ways[1].config.PARTITION) == (12, 1, "iid")
    assert {way.config.num_clients for way in ways[2:]} == {10}


def test_the_sites_of_a_partition_are_counted(compare, monkeypatch):
    monkeypatch.setattr(budgets, "prepared_data", lambda config: "data")
    monkeypatch.setattr(budgets, "count_clients", lambda data, config: 3)
    assert [run for run, _ in compare(Config.load(PARTITION="site"))] == ALL


@pytest.mark.parametrize(
    ("settings", "run", "message"),
    [
        ({"CLIENTS": "0,2"}, "first", r"CLIENTS: received \(0, 2\); .* all 3 clients; leave CLIENTS empty"),
        ({"CLIENTS": "0"}, "first", r"CLIENTS: received \(0,\)"),
        ({"num_workers": "auto"}, "first", "num_workers: received auto; --compare .* set a number"),
        (
            {"CLIENT_FRACTION": 0.5},
            "first",
            r"CLIENT_FRACTION: received 0\.5; .* all 3 clients .* set it to 1",
        ),
        ({"PATIENCE": 2}, "first", "PATIENCE: received 2; .* set it to 0"),
        ({"BASE_LR": 9, "LR_SCALING": "linear"}, "first", "BASE_LR: received 27.0"),
        ({}, "x" * 95, f"--run '{'x' * 95}-pooled': use letters"),
        ({"num_workers": 200}, "x" * 84, "-client-100-alone': use letters"),
    ],
)
def test_what_makes_no_comparison_is_refused_before_the_first_training(compare, settings, run, message):
    with pytest.raises(ConfigError, match=message):
        compare(Config.load(**settings), run)
    assert compare.trained == []


def test_runs_that_exist_are_named_before_the_first_training(config, compare):
    for run in ("first-pooled", "first-client-2-alone"):
        (config.METRICS_DIR / run).mkdir(parents=True)
    with pytest.raises(
        ConfigError, match=r"already exist: first-pooled, first-client-2-alone; .*--overwrite"
    ):
        compare()
    assert compare.trained == []


def test_overwrite_replaces_them(config, compare):
    begin(config, "first-pooled")
    assert compare(overwrite=True) == [(run, None) for run in ALL]


def test_a_resumed_comparison_goes_on_where_it_was_and_begins_the_rest(config, compare):
    for run in ("first", "first-pooled"):
        begin(config, run)
    assert compare(resume="first") == [("first", "first"), ("first-pooled", "first-pooled")] + [
        (run, None) for run in ALL[2:]
    ]


def test_a_resumed_comparison_takes_the_settings_of_its_run(config, compare, capsys):
    begin(Config.load(num_workers=2, EPOCHS=4), "first")
    compare(resume="first", config=Config.load())
    assert "4 trainings, EPOCHS 4 each: federated, pooled, client 0 alone, client 1 alone" in (
        capsys.readouterr().out
    )


def test_there_is_nothing_to_resume(compare):
    with pytest.raises(ConfigError, match="--resume first: no run has this name"):
        compare(resume="first")


def test_the_cost_is_printed_first_and_the_result_is_a_table_and_a_page(config, compare, capsys):
    compare()
    out = capsys.readouterr().out
    assert out.startswith("5 trainings, EPOCHS 7 each: federated, pooled, client 0 alone,")
    assert "Training 2 of 5: pooled" in out
    folder = config.METRICS_DIR / "first"
    table = pd.read_csv(folder / "compare.csv").set_index("model")
    assert table["run"].tolist() == ALL
    assert np.isnan(table.loc["federated", "difference"])
    difference, low, high = table.loc["pooled", ["difference", "difference_low", "difference_high"]]
    assert difference == 0.5
    assert low < difference <= high
    assert table["recall"].isna().all()
    page = (folder / "compare.html").read_text()
    row = page[page.index('<th scope="row">pooled</th>') :].split("</tr>")[0]
    assert row.count("0.500") >= 4  # AUC with its interval, and the difference
    assert str(folder / "compare.html") in out


def test_the_command_refuses_with_one_line(config, capsys):
    assert distributed_training_index.main(["--compare", "--clients", "0,2"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: CLIENTS: received (0, 2)")
    assert error.count("\n") == 1
    assert not Path(config.METRICS_DIR).exists()
