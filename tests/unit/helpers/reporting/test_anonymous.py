"""Anonymous copies of a run."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.global_config import Config
from helpers.reporting.anonymous import anonymous_settings, anonymous_table, write_anonymous
from helpers.run_records.tables import (
    CLIENT_COLUMNS,
    PARTITION_COLUMNS,
    ROUND_COLUMNS,
    SITE_COLUMNS,
    TEST_CLASS_COLUMNS,
    TEST_COLUMNS,
)
from helpers.settings.errors import UserError
from tests.unit.helpers.reporting.test_report import write_run

SECRET = "Maria-Secret"
TABLES = {"rounds.csv", "clients.csv", "test.csv", "sites.csv", "test_classes.csv", "report.html"}


def fill(path: Path, columns: list[str], **values: object) -> None:
    """Write a table of one row with the secret in every column but these, and in a column of its own."""
    row = dict.fromkeys([*columns, "later"], SECRET) | values
    pd.DataFrame([row]).to_csv(path, index=False)


@pytest.fixture
def run(tmp_path) -> Path:
    """A run whose every text is the secret: names of files, patients, hosts, sites, settings and errors."""
    write_run(tmp_path, name=SECRET)
    metrics, models = tmp_path / "metrics/first", tmp_path / "models/first"
    for name in ("rounds.csv", "clients.csv", "test.csv"):
        table = pd.read_csv(metrics / name)
        columns = {"rounds.csv": ROUND_COLUMNS, "clients.csv": CLIENT_COLUMNS, "test.csv": TEST_COLUMNS}[name]
        new = [column for column in [*columns, "later"] if column not in table.columns]
        table.assign(**dict.fromkeys(new, SECRET)).to_csv(metrics / name, index=False)
    fill(metrics / "partition.csv", PARTITION_COLUMNS, round=1, client=0, label=1)
    fill(metrics / "sites.csv", SITE_COLUMNS, model="global", roc_auc=0.5)
    fill(metrics / "test_classes.csv", TEST_CLASS_COLUMNS, **{"class": 1, "name": "sick", "num_examples": 4})
    fill(metrics / "groups.csv", ["column", "value", "roc_auc"])
    fill(metrics / "confusion.csv", ["true", "healthy", "sick"])
    facts = json.loads((metrics / "run.json").read_text())
    facts |= {
        "classes": ["healthy", "sick"], "hosts": {"workers": [SECRET]}, "workers": {SECRET: {"threads": 1}},
        "environment": {"platform": SECRET}, "data_digest": SECRET, "divided_by": SECRET, "sites": [SECRET],
        "new": SECRET,
    }  # fmt: skip
    facts["settings"] |= {"SITE_COLUMN": SECRET, "ARCHITECTURE": f"{SECRET}:net", "RECIPE": SECRET}
    facts["data"] |= {"license": SECRET, "sites": [{"name": SECRET}], "split_by": SECRET}
    facts["data"]["audit"][SECRET] = SECRET
    facts["partition"] = {SECRET: {"0": 1}, "0": {"0": 20, "1": 10}, "1": {"0": 5, "1": 9}}
    (metrics / "run.json").write_text(json.dumps(facts))
    site = {"name": SECRET, "data_digest": SECRET, "train": [3, 4], "val": [1, 1], "test": [1, 1]}
    state = {"best_round": 2, "best_weights_file": SECRET, "sites": [site, site]}
    (models / "state.json").write_text(json.dumps({"state": state}))
    best = {"threshold": 0.4, "threshold_rule": SECRET, "classes": ["healthy", "sick"], "run": SECRET}
    (models / "best.json").write_text(json.dumps(best))
    for name in ("manifest.json", "report.html", "compare.csv"):
        (metrics / name).write_text(SECRET)
    return tmp_path


def test_nothing_of_any_file_names_anybody(run, tmp_path):
    folder = tmp_path / "shared"
    written = write_anonymous(run / "metrics", run / "models", "first", folder)
    assert {file.name for file in written} == {file.name for file in folder.iterdir()} == TABLES
    for file in written:
        assert SECRET not in file.read_text(), file.name
    page = (folder / "report.html").read_text()
    assert "data:image" not in page
    assert "not as expected" not in page
    for said in ("shared", "0.900", "sick", "EPOCHS", "ROC"):
        assert said in page


def test_numbers_and_known_words_stay(run, tmp_path):
    write_anonymous(run / "metrics", run / "models", "first", tmp_path / "shared")
    clients = pd.read_csv(tmp_path / "shared/clients.csv", dtype=str, keep_default_na=False)
    assert clients.columns.tolist() == CLIENT_COLUMNS
    assert clients["status"].value_counts().to_dict() == {"ok": 5, "failed": 1}
    assert set(clients["worker"]) | set(clients["error"]) | set(clients["site"]) == {""}
    assert set(clients["client"]) == {"0", "1"}
    assert clients["train_loss"].astype(float).tolist() == [0.5] * 6
    sites = pd.read_csv(tmp_path / "shared/sites.csv", dtype=str, keep_default_na=False)
    assert sites[["model", "site", "roc_auc"]].to_numpy().tolist() == [["global", "", "0.5"]]


def test_cells_are_numbers_digests_or_known_words():
    table = pd.DataFrame(
        {
            "weights_sha256": ["a" * 64, "A" * 64, SECRET],
            "name": ["sick", SECRET, ""],
            "status": ["ok", "okay", SECRET],
            "client": ["1", SECRET, "2"],
            "train_loss": ["0.5", "", SECRET],
            "worker": ["17", SECRET, ""],
            "site": ["17", "4711", SECRET],
            "error": ["1", "", SECRET],
            "unlisted": ["1", "2", "3"],
        }
    )
    columns = [name for name in table.columns if name != "unlisted"]
    kept = anonymous_table(table, columns, ("healthy", "sick"))
    assert kept.fillna("").to_numpy().tolist() == [
        ["a" * 64, "sick", "ok", "1", "0.5", "", "", ""],
        ["", "", "", "", "", "", "", ""],
        ["", "", "", "2", "", "", "", ""],
    ]


def test_a_folder_with_files_is_refused(run):
    folder = run / "metrics/first"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for place in (folder, folder / "rounds.csv"):
        with pytest.raises(UserError, match="exists and is not an empty folder"):
            write_anonymous(run / "metrics", run / "models", "first", place)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_settings_are_numbers_and_words_of_the_project():
    settings = Config.model_construct().for_run()
    assert anonymous_settings(settings).keys() >= {"EPOCHS", "STRATEGY", "INPUT_SHAPE", "OPTIMIZER", "XLA"}
    own = settings | {"STRATEGY": "mine.strategy:Best", "CLASS_NAMES": ["Maria"], "AUGMENTATION": "{}"}
    kept = anonymous_settings(own | {"UNKNOWN": 1})
    assert settings.keys() - kept.keys() == {"STRATEGY", "CLASS_NAMES", "AUGMENTATION"}
    assert "UNKNOWN" not in kept


def test_scores_of_patients_are_numbered(run, tmp_path):
    np.savez(
        run / "metrics/first/scores.npz", test_labels=[0, 1, 1], test_scores=[0.1, 0.9, 0.4],
        test_files=[SECRET] * 3, test_patients=["b", "a", "b"],
    )  # fmt: skip
    write_anonymous(run / "metrics", run / "models", "first", tmp_path / "shared")
    assert "test images" in (tmp_path / "shared/report.html").read_text()
