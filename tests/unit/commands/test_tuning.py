"""Trials of `run.py tune`, with made-up trainings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("optuna", reason="python -m pip install -r requirements-tune.txt")

from commands.repetitions import Repetition
from commands.search_space import Search
from commands.tuning import (
    STARTUP_TRIALS,
    RoundWatch,
    TrainingStopped,
    Tuning,
    is_behind,
    open_study,
    table_of,
)
from helpers.run_records.files import RunFolders
from helpers.settings.errors import UserError
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.feed.run_data import with_data_settings
from preprocessing.prepare.divisions import without_test
from preprocessing.prepare.resplitting import resplit
from tests.unit.preprocessing.prepare.patients import prepared

ROUNDS, FOLDS = 4, 2
SEARCH = Search("BASE_LR", (), 1e-4, 1e-1, is_log=True)
FACTS = {"settings": {}, "search": "s"}


class Trainings:
    """Made-up trainings: the AUC is highest for BASE_LR=0.01, and that of fold 2 is lower by 0.1."""

    def __init__(self, metrics: Path) -> None:
        self.metrics = metrics
        self.trained: list[str] = []
        self.status = 0
        self.stop_after = 10**6

    def __call__(self, request, watch) -> int:
        if len(self.trained) == self.stop_after:
            return 130
        self.trained.append(request.run)
        folder, config = RunFolders.of(request.config, request.run), request.config
        folder.metrics.mkdir(parents=True, exist_ok=True)
        folder.models.mkdir(parents=True, exist_ok=True)
        best = 0.9 - 0.1 * abs(np.log10(config.BASE_LR / 0.01)) - 0.1 * request.run.endswith("fold-2")
        for number in range(1, ROUNDS + 1):
            aucs = [best - 0.02 * (ROUNDS - one) for one in range(1, number + 1)]
            rows = {"round": range(1, number + 1), "roc_auc": aucs}
            pd.DataFrame(rows).to_csv(folder.metrics / "rounds.csv", index=False)
            watch()
        if self.status:
            return self.status
        data = PreparedData.open(config.PREPROCESSED_DIR)
        facts = {"settings": with_data_settings(config, data).for_run(), "data_digest": data.digest}
        (folder.metrics / "run.json").write_text(json.dumps(facts))
        pd.DataFrame([{"round": ROUNDS, "roc_auc": 0.5}]).to_csv(folder.metrics / "test.csv", index=False)
        return 0


@pytest.fixture
def folders(tmp_path, monkeypatch) -> RunFolders:
    monkeypatch.chdir(tmp_path)
    return RunFolders(tmp_path / "metrics/lr", tmp_path / "models/lr")


@pytest.fixture
def tuning(folders, tmp_path) -> Tuning:
    (tmp_path / "all").mkdir()
    data = prepared(tmp_path / "all")
    divisions = without_test(data, FOLDS, 1)
    folds = [resplit(data, members, tmp_path / f"fold-{k}").folder for k, members in enumerate(divisions)]
    words = [
        "--metrics-dir",
        str(folders.metrics),
        "--models-dir",
        str(folders.models),
        "--epochs",
        str(ROUNDS),
    ]
    train, lines = Trainings(folders.metrics), []
    return Tuning(folders, folds, [SEARCH], words, None, ROUNDS, train, lines.append)


def study_of(folders, **facts):
    return open_study(folders.metrics / "tune.journal", "lr", FACTS | facts, seed=1)


def test_trials_are_judged_by_the_mean_over_folds_and_their_gain_has_a_spread(folders, tuning):
    study = study_of(folders)
    tuning.run(study, 4)
    assert tuning.as_set == pytest.approx([0.8, 0.7])  # BASE_LR 0.001
    assert len(tuning.train.trained) == 2 * (1 + 4)
    table = table_of(study, tuning.as_set)
    assert len(table) == 5
    best = table.iloc[0]
    expected = 0.9 - 0.1 * abs(np.log10(best["BASE_LR"] / 0.01))
    assert best["fold_1"] == pytest.approx(expected, abs=1e-5)
    assert best["validation_auc"] == pytest.approx(expected - 0.05, abs=1e-5)
    assert best["gain"] == pytest.approx(best["validation_auc"] - 0.75)
    assert best["gain_sd"] == pytest.approx(0, abs=1e-9)
    assert best["sd"] == pytest.approx(0.1 / np.sqrt(2))
    as_set = table[table["trial"] == "as set"].iloc[0]
    assert (as_set["validation_auc"], as_set["gain"]) == (pytest.approx(0.75), 0)


def test_no_fold_has_an_image_of_the_test(tuning, tmp_path):
    tested = set(PreparedData.open(tmp_path / "all").files("test"))
    for folder in tuning.folds:
        data = PreparedData.open(folder)
        assert tested.isdisjoint({file for split in ("train", "val", "test") for file in data.files(split)})


def test_bad_trials_are_ended_after_a_round(folders, tuning):
    study = study_of(folders)
    for rate in [0.01] * 6 + [0.0001]:
        study.enqueue_trial({"BASE_LR": rate})
    tuning.run(study, 7)
    states = [trial.state.name for trial in study.get_trials()]
    assert states == ["COMPLETE"] * 6 + ["PRUNED"]
    assert study.get_trials()[-1].last_step < ROUNDS
    row = table_of(study, tuning.as_set).set_index("trial").loc["6"]
    assert (row["state"], np.isnan(row["validation_auc"])) == ("pruned", True)


def test_a_good_first_fold_does_not_save_a_trial_that_is_behind_in_the_next():
    from optuna.trial import create_trial

    def trial(*means):
        return create_trial(value=means[-1], intermediate_values=dict(enumerate(means, 1)))

    complete = [trial(0.95, 0.9, 0.88)] * STARTUP_TRIALS
    assert not is_behind(0.95, 1, complete)
    assert is_behind(0.78, 2, complete)
    assert not is_behind(0.78, 2, complete[1:])
    assert not is_behind(0.78, 4, complete)


def test_an_interrupted_search_goes_on_where_it_was(folders, tuning):
    tuning.train.stop_after = 5  # as set, trial 0 and the first fold of trial 1
    with pytest.raises(TrainingStopped, match="status 130"):
        tuning.run(study_of(folders), 3)
    tuning.train.stop_after = 100
    study = study_of(folders)
    tuning.run(study, 3)
    assert len(tuning.train.trained) == len(set(tuning.train.trained)) == 2 * (1 + 3)
    states = [trial.state.name for trial in study.get_trials()]
    assert states == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert study.get_trials()[1].params == study.get_trials()[2].params
    tuning.run(study_of(folders), 3)
    assert len(tuning.train.trained) == 2 * (1 + 3)


def test_models_of_trials_are_deleted_and_values_that_are_refused_end_the_trial_only(folders, tuning):
    tuning.run(study_of(folders), 1)
    assert list(folders.models.iterdir()) == []
    tuning.train.status = 2
    study = study_of(folders)
    tuning.run(study, 2)
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE", "PRUNED"]


def test_a_refused_resume_stops_the_search_and_says_nothing_about_the_values(folders, tuning, monkeypatch):
    tuning.run(study_of(folders), 1)
    whole = Repetition.request
    resumed = lambda *arguments: (one := whole(*arguments)) and replace(one, is_resumed=True)  # noqa: E731
    monkeypatch.setattr(Repetition, "request", resumed)
    tuning.train.status = 2
    study = study_of(folders)
    with pytest.raises(TrainingStopped, match="status 2"):
        tuning.run(study, 2)
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE", "FAIL", "WAITING"]


def test_other_settings_are_another_search(folders):
    study_of(folders)
    with pytest.raises(UserError, match="has trials with other search; set them back"):
        study_of(folders, search="t")


def test_each_new_round_is_reported_once(tmp_path):
    reported, file = [], tmp_path / "rounds.csv"
    watch = RoundWatch(file, reported.append)
    watch.look()
    for text in ("round,roc_auc\n1,0.5\n", "round,roc_auc\n1,0.5\n2,\n"):
        file.write_text(text)
        watch.look()
        watch.look()
    assert reported == [[0.5], [0.5, 0.0]]
