"""Runs in MLflow, in a store of its own."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from tests.unit.helpers.reporting.test_report import write_run

pytest.importorskip("mlflow", reason="python -m pip install -r requirements-mlflow.txt")

import mlflow

from helpers.monitoring.mlflow_observer import EXPERIMENT, MLflowObserver

SECRET = "Maria-Secret"


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    yield Config.load(
        METRICS_DIR=tmp_path / "metrics", MODELS_DIR=tmp_path / "models", INPUT_SHAPE=(8, 8), EPOCHS=3
    )
    mlflow.set_tracking_uri(None)


def train(config: Config, first: int, last: int) -> None:
    """Observe rounds `first` to `last`."""
    observer = MLflowObserver(config, RunFolders.of(config, "first"))
    observer.run_started("first", SimpleNamespace(round=first - 1), 3)
    for number in range(first, last + 1):
        metrics = {"round": number, "roc_auc": number / 10, "val_loss": None, "weights_sha256": "ab"}
        observer.round_finished(SimpleNamespace(metrics=metrics, clients=[]))
    observer.close()


def test_a_run_has_settings_rounds_test_results_and_a_model_with_a_signature(config, tmp_path):
    train(config, 1, 2)
    (killed,) = mlflow.search_runs(experiment_names=[EXPERIMENT], output_format="list")
    assert killed.info.status == "KILLED"
    write_run(tmp_path, name=SECRET)
    facts = json.loads((tmp_path / "metrics/first/run.json").read_text())
    facts |= {"versions": {"keras": "3.15.1", "numpy": "2.4.6"}, "classes": ["healthy", "sick"]}
    (tmp_path / "metrics/first/run.json").write_text(json.dumps(facts))
    (tmp_path / "models/first/best.keras").write_bytes(b"weights")
    train(config, 3, 3)

    (run,) = mlflow.search_runs(experiment_names=[EXPERIMENT], output_format="list")
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert (run.data.params["EPOCHS"], run.data.params["INPUT_SHAPE"]) == ("3", "[8, 8]")
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "roc_auc")
    assert [(one.step, one.value) for one in history] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert "val_loss" not in run.data.metrics
    assert run.data.metrics["test_roc_auc"] == 0.9
    folder = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="results"))
    names = {path.name for path in folder.iterdir()}
    assert names == {"rounds.csv", "clients.csv", "test.csv", "report.html"}
    assert all(SECRET not in path.read_text() for path in folder.iterdir())
    (model,) = mlflow.search_logged_models(output_format="list")
    info = mlflow.models.get_model_info(model.model_uri)
    assert info.signature.inputs.inputs[0].shape == (-1, 8, 8, 3)
    assert info.signature.outputs.inputs[0].shape == (-1, 1)
    assert info.metadata["classes"] == ["healthy", "sick"]
    assert info.metadata["threshold"] == 0.4
    assert (tmp_path / "mlflow.db").exists()
    assert pd.read_csv(folder / "rounds.csv")["round"].tolist() == [1, 2, 3]
