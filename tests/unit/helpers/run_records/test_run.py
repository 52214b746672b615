"""A run as an object."""

import pytest

from helpers.global_config import Config
from helpers.run_records.files import RecordError
from helpers.run_records.run import Run
from helpers.settings.errors import UserError


@pytest.fixture
def config(tmp_path):
    folder = tmp_path / "metrics" / "first"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "rounds.csv").write_text("round,roc_auc\n1,0.5\n2,\n")
    (folder / "test.csv").write_text("model,roc_auc\nbest,0.75\n")
    return Config.load(METRICS_DIR=tmp_path / "metrics", MODELS_DIR=tmp_path / "models")


def test_tables_have_numbers(config):
    run = Run.open(config, "first")
    assert run.rounds["round"].tolist() == [1, 2]
    assert run.rounds["roc_auc"].isna().tolist() == [False, True]
    assert run.test["roc_auc"].item() == 0.75
    assert run.report == config.METRICS_DIR / "first" / "report.html"
    assert run.name in repr(run)


def test_what_is_missing_is_named(config):
    with pytest.raises(UserError, match=r"run other: not found in .*metrics"):
        Run.open(config, "other")
    run = Run.open(config, "first")
    with pytest.raises(RecordError, match=r"clients\.csv: cannot be read"):
        _ = run.clients
