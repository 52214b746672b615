"""What a run's first and last task write: what run.json says of the data, what a test leaves."""

from types import SimpleNamespace

import cv2
import keras
import numpy as np
import tensorflow as tf

from helpers.federated.aggregation import weighted_mean
from helpers.federated.logit_adjustment import prior_logits
from helpers.federated.results import RunState
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.client_optimizer import client_optimizer
from helpers.local_training.trainer import predict_scores, train_locally
from helpers.model_instance_helper import ModelInstance
from helpers.run_records.files import RunFolders
from helpers.run_records.tables import TEST_COLUMNS
from preprocessing.load_and_create_dataset import prepare
from tasks import run_task
from tasks.final_test import FinalTest, auc_on_test
from tasks.run_task import _description, saved_weights

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
    (folders.metrics / "groups.csv").touch()
    monkeypatch.setattr(run_task, "load_arrays", lambda *_: [])
    monkeypatch.setattr(run_task, "keras_file", lambda *_: b"")
    config = Config(METRICS_DIR=tmp_path / "metrics", MODELS_DIR=tmp_path / "models", CLASS_NAMES=("a", "b"))
    order = SimpleNamespace(run="r", settings=config.for_run(), data_digest="", versions={})
    context = SimpleNamespace(
        order=order, config=config, folders=folders, own_data=None,
        instance=SimpleNamespace(schema=()), key=lambda *_, **__: "",
        store=SimpleNamespace(delete=lambda _: None),
    )  # fmt: skip
    row = dict.fromkeys(TEST_COLUMNS) | {"round": 2, "threshold": 0.5, "num_examples": 6, "roc_auc": 0.625}
    test = FinalTest(row, [], np.array([[3, 0], [1, 2]]))
    run_task.write_results(context, RunState("r", 2, "w", 2, 0.75, "w"), [], test, {})
    names = sorted(path.name for path in folders.metrics.iterdir())
    assert names == ["confusion.csv", "run.json", "test.csv"]
    assert (folders.metrics / "confusion.csv").read_text() == "true,a,b\na,3,0\nb,1,2\n"
    card = (folders.models / "model_card.md").read_text()
    assert "| ROC-AUC | 0.625 | not defined |" in card
    assert "0 = a, 1 = b" in card
    assert "images, 0.750." in card


def test_the_test_auc_of_given_weights():
    instance = ModelInstance(
        keras.Sequential(
            [keras.layers.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
        ),
        client_optimizer("sgd"),
    )
    images = np.array([0, 80, 160, 240], np.uint8).reshape(4, 1, 1, 1)
    data = SimpleNamespace(
        images={"test": images}.get, labels={"test": np.array([0, 1, 0, 1])}.get,
        files=lambda _: list("abcd"), patients=lambda _: list("abcd"),
    )  # fmt: skip
    context = SimpleNamespace(instance=instance, data=data, config=Config())
    for slope, auc in ((1.0, 0.75), (-1.0, 0.25)):
        weights = [np.array([[slope]], np.float32), np.zeros(1, np.float32)]
        assert auc_on_test(context, weights) == auc


SITES = [
    {"name": name, "data_digest": "0" * 64, "input_shape": [1, 1, 1], "classes": ["a", "b"], "train": train,
     "val": [1, 1], "test": [1, 1]}
    for name, train in (("north", [360, 40]), ("south", [40, 160]))
]  # fmt: skip


def saved_by(monkeypatch, instance: ModelInstance, weights: Weights, labels, sites=(), **settings) -> Weights:
    monkeypatch.setattr(run_task, "load_arrays", lambda *_: weights)
    data = SimpleNamespace(labels=lambda split: labels)
    context = SimpleNamespace(config=Config(**settings), data=data, instance=instance, folders=None)
    return saved_weights(context, RunState("r", 1, "w", None, None, None, sites=list(sites)), "w")


def test_the_saved_model_is_calibrated_to_all_clients(monkeypatch):
    """Two clients with 10 % and 80 % of class 1, and images of a class that look the same at both."""
    generator, clients = np.random.default_rng(2), []
    for negative, positive in ((360, 40), (40, 160)):
        labels = np.repeat([0, 1], [negative, positive]).astype(np.int32)
        clients.append((generator.normal(size=(len(labels), 2)) + 1.5 * labels[:, None] - 0.75, labels))
    points, labels = (np.concatenate(parts) for parts in zip(*clients, strict=True))
    layers = [keras.layers.Input((2,)), keras.layers.Dense(1, "sigmoid")]
    instance = ModelInstance(keras.Sequential(layers), client_optimizer("sgd"))
    weights = [np.zeros((2, 1), np.float32), np.zeros(1, np.float32)]
    for _ in range(6):
        updates = []
        for own_points, own_labels in clients:
            batch = (own_points.astype(np.float32), own_labels.astype(np.float32).reshape(-1, 1))
            update = train_locally(
                instance, weights, tf.data.Dataset.from_tensors(batch).repeat(15), learning_rate=1.0,
                seed=[0], logit_shifts=prior_logits(np.bincount(own_labels)),
            )  # fmt: skip
            updates.append((update.weights, float(len(own_labels))))
        weights = weighted_mean(updates)
    np.testing.assert_allclose(weights[0], 1.5, atol=0.3)  # as the densities of the classes say,
    np.testing.assert_allclose(weights[1], 0, atol=0.3)  # at equal priors

    def mean_probability(saved: Weights) -> float:
        instance.model.set_weights(saved)
        return float(predict_scores(instance, [points.astype(np.float32)]).mean())

    assert saved_by(monkeypatch, instance, weights, labels) is weights
    saved = saved_by(monkeypatch, instance, weights, labels, LOGIT_ADJUSTMENT=True)
    np.testing.assert_array_equal(saved[0], weights[0])
    np.testing.assert_array_equal(saved[1], weights[1] + np.float32(np.log(200.5 / 400.5)))
    prevalence = 200 / 600
    assert abs(mean_probability(saved) - prevalence) < 0.02 < abs(mean_probability(weights) - prevalence) / 2
    assert saved_by(monkeypatch, instance, weights, None, SITES, LOGIT_ADJUSTMENT=True)[1] == saved[1]
