"""Results of a repeated training."""

import numpy as np
import pandas as pd
import pytest

from helpers.reporting.repeat_page import Repeated, write_repeat_page
from helpers.reporting.run_files import RunFiles, SplitScores
from helpers.run_records.tables import CLIENT_COLUMNS, ROUND_COLUMNS

AUCS = (0.7, 0.8, 0.9)


def of_run(number: int, auc: float, **more: object) -> RunFiles:
    generator = np.random.default_rng(number)
    labels = np.tile([0, 1], 40)
    split = SplitScores(labels, labels * auc + generator.random(80), np.arange(80).astype(str))
    rounds = pd.DataFrame([{"round": 1.0, "roc_auc": auc}], columns=ROUND_COLUMNS).astype({"roc_auc": float})
    test = {"round": 1.0, "roc_auc": auc, "recall": 0.5, "precision": float("nan"), "num_examples": 80.0}
    clients = pd.DataFrame(columns=CLIENT_COLUMNS)
    return RunFiles(f"mine-seed-{number}", rounds, clients, test=test, scores={"test": split}, **more)


@pytest.fixture
def repeated() -> Repeated:
    files = {f"seed {number}": of_run(number, auc) for number, auc in enumerate(AUCS, 1)}
    return Repeated("mine", files, "The 95 % interval counts patients and seeds.")


def test_mean_spread_and_range_of_each_metric_and_an_interval_of_the_auc(repeated):
    rows = repeated.summary().set_index("metric")
    auc = rows.loc["ROC-AUC"]
    assert [auc["mean"], auc["sd"], auc["lowest"], auc["highest"]] == pytest.approx([0.8, 0.1, 0.7, 0.9])
    assert 0.5 < auc["low"] < auc["high"] < 1
    recall = rows.loc["sensitivity (recall)"]
    assert (recall["mean"], recall["sd"], recall["low"]) == (0.5, 0.0, None)
    assert rows.loc["precision"].isna().all()
    assert rows.loc["best validation AUC", "mean"] == pytest.approx(0.8)


def test_without_the_scores_of_every_test_there_is_no_interval(repeated):
    without = Repeated("mine", {**repeated.files, "seed 3": of_run(3, 0.9, best={})}, "")
    without.files["seed 3"].scores.clear()
    assert without.summary().set_index("metric").loc["ROC-AUC", "low"] is None


def test_tables_and_a_page_are_written(repeated, tmp_path):
    files = write_repeat_page(tmp_path, repeated)
    assert [file.name for file in files] == ["repeat.csv", "repeat_summary.csv", "repeat.html"]
    trainings = pd.read_csv(files[0])
    assert trainings["training"].tolist() == ["seed 1", "seed 2", "seed 3"]
    assert trainings["roc_auc"].tolist() == list(AUCS)
    page = " ".join(files[2].read_text().split())
    for said in (
        "mine: 3 trainings with the same settings", "Mean of the tests", "counts patients and seeds",
        "<td>0.800</td><td>0.100</td>", "mine-seed-2",
    ):  # fmt: skip
        assert said in page
    assert "Cautions" not in page
