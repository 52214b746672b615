"""`run.py show`."""

import json
from pathlib import Path

import pandas as pd
import pytest

from commands.show import main
from helpers.settings.errors import UserError
from tests.unit.helpers.reporting.test_report import write_run

ORIGIN = {
    "started_at": "2026-11-29T08:00:00Z",
    "ended_at": "2026-11-29T09:00:00Z",
    "hosts": {"orchestrator": "lab", "writer": "box", "workers": ["box"]},
    "git": {"commit": "c0ffee", "is_dirty": True},
    "packages": {"numpy": "2.0"},
}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DT_METRICS_DIR", str(tmp_path / "metrics"))
    monkeypatch.setenv("DT_MODELS_DIR", str(tmp_path / "models"))
    write_run(tmp_path)
    return tmp_path


def printed(capsys, *arguments: str) -> str:
    assert main(["first", *arguments]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_shows_origin_images_settings_rounds_and_test(root, capsys):
    file = root / "metrics/first/run.json"
    facts = json.loads(file.read_text()) | ORIGIN
    file.write_text(json.dumps(facts))
    rounds = root / "metrics/first/rounds.csv"
    pd.read_csv(rounds).assign(weights_sha256="ab" * 32).to_csv(rounds, index=False)
    text = printed(capsys)
    for said in (
        "started 2026-11-29T08:00:00Z ended 2026-11-29T09:00:00Z orchestrator lab files written on box",
        "workers on box, host", "git commit c0ffee, with changes that are not committed",
        "1 on record: --json lists them", "train 40 non-cancerous, 20 cancerous; patients: unknown",
        "EPOCHS 4", "round 3 threshold", "3 2 0.750 9.000 abababababababab best", "roc_auc 0.900",
    ):  # fmt: skip
        assert said in text


def test_an_earlier_run_lacks_what_was_not_recorded(root, capsys):
    (root / "metrics/first/test.csv").unlink()
    text = printed(capsys)
    assert "started not recorded ended not recorded" in text
    assert "git commit not recorded" in text
    assert "not tested yet" in text


def test_as_json_it_is_complete(root, capsys):
    file = root / "metrics/first/run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sites": ["north"]}))
    (root / "metrics/first/sites.csv").write_text("model,site,roc_auc\nglobal,north,0.7\n")
    assert main(["first", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["settings"]["EPOCHS"] == 4
    assert [row["round"] for row in facts["rounds"]] == ["1", "2", "3"]
    assert facts["test"][0]["roc_auc"] == "0.9"
    assert facts["sites"] == ["north"]
    assert facts["test_of_sites"][0]["roc_auc"] == "0.7"


def test_sites_are_shown_with_digest_and_counts(root, capsys):
    site = {"name": "north", "data_digest": "d" * 64, "train": [3, 4], "val": [1, 2], "test": [5, 6]}
    state = {"state": {"sites": [site]}}
    (root / "models/first/state.json").write_text(json.dumps(state))
    text = printed(capsys)
    assert f"site north digest {'d' * 16}; train: 3 non-cancerous, 4 cancerous; val: 1" in text


def test_an_anonymous_copy_needs_a_folder(root, tmp_path, capsys):
    for arguments in (["--anonymous"], ["--out", str(tmp_path / "x")]):
        with pytest.raises(UserError, match="belong together"):
            main(["first", *arguments])
    assert main(["first", "--anonymous", "--out", str(tmp_path / "x")]) == 0
    assert str(tmp_path / "x/report.html") in capsys.readouterr().out


def test_an_unknown_run_is_refused(root):
    with pytest.raises(UserError, match="no run other"):
        main(["other"])
