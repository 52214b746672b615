"""What a run's first and last task write: what run.json says of the data, what a test leaves."""

from types import SimpleNamespace

import cv2
import numpy as np

from helpers.federated.messages import RunState
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from helpers.run_records.tables import TEST_COLUMNS
from preprocessing.load_and_create_dataset import prepare
from tasks import run_task
from tasks.final_test import FinalTest
from tasks.run_task import _description

STATE = RunState("r", 0, "w", None, None, None)


def test_run_json_says_how_the_images_were_split(tmp_path):
    for label in (0, 1):
        (tmp_path / str(label)).mkdir()
        for number in range(20):
            pixels = np.random.default_rng([label, number]).integers(0, 256, (16, 16), np.uint8)
            (tmp_path / f"{label}/{number}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    config = Config(DATA_DIR=tmp_path, PREPROCESSED_DIR=tmp_path / "out", INPUT_SHAPE=(16, 16), SEED=7)
    order = SimpleNamespace(run="r", settings={}, data_digest="", versions={})
    prepared = prepare(config, allow=["leaks"])
    context = SimpleNamespace(order=order, config=config, data=prepared)
    assert _description(context, {"python": "3"}, STATE)["environment"] == {"python": "3"}
    assert _description(context, {}, STATE)["classes"] == ("non-cancerous", "cancerous")
    data = _description(context, {}, STATE)["data"]
    assert (data["split_by"], data["grouped_by"], data["allowed"]) == ("drawn", "copy", ["leaks"])
    assert data["settings"] == {
        "INPUT_SHAPE": [16, 16], "INPUT_DIM": 3, "SEED": 7, "TEST_FRACTION": 0.3, "VALIDATION_FRACTION": 0.1,
    }  # fmt: skip
    del context.data.manifest["split_by"]  # as a manifest of an earlier version
    assert _description(context, {}, STATE)["data"]["split_by"] is None


def test_results_leave_no_scores_of_an_earlier_end_and_the_card_is_of_the_new_test(tmp_path, monkeypatch):
    folders = RunFolders(tmp_path / "metrics/r", tmp_path / "models/r")
    folders.metrics.mkdir(parents=True)
    for name in ("scores.npz", "cases.npz"):
        np.savez(folders.metrics / name, test_labels=[0, 1], test_scores=[0.1, 0.2])
    monkeypatch.setattr(run_task, "load_arrays", lambda *_: [])
    monkeypatch.setattr(run_task, "keras_file", lambda *_: b"")
    config = Config(METRICS_DIR=tmp_path / "metrics", MODELS_DIR=tmp_path / "models", CLASS_NAMES=("a", "b"))
    order = SimpleNamespace(run="r", settings=config.for_run(), data_digest="", versions={})
    context = SimpleNamespace(
        order=order, config=config, folders=folders, own_data=None,
        instance=SimpleNamespace(schema=()), key=lambda *_: "", store=SimpleNamespace(delete=lambda _: None),
    )  # fmt: skip
    row = dict.fromkeys(TEST_COLUMNS) | {"round": 2, "threshold": 0.5, "num_examples": 6, "roc_auc": 0.625}
    test = FinalTest(row, [], np.array([[3, 0], [1, 2]]))
    run_task.write_results(context, RunState("r", 2, "w", 2, 0.75, "w"), [], test, {})
    assert sorted(path.name for path in folders.metrics.iterdir()) == ["confusion.csv", "test.csv"]
    assert (folders.metrics / "confusion.csv").read_text() == "true,a,b\na,3,0\nb,1,2\n"
    card = (folders.models / "model_card.md").read_text()
    assert "| ROC-AUC | 0.625 | not defined |" in card
    assert "0 = a, 1 = b" in card
    assert "images, 0.750." in card
