"""Whole runs of three classes of gray images: with one store of images, and with two sites."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from helpers.cluster.versions import ROOT
from helpers.evaluation.metrics import SENSITIVITY
from helpers.evaluation.tallies import BINNED
from tests.integration.conftest import Cluster, places, running_cluster
from tests.integration.test_client_state import assert_same_runs

NAMES = ["normal", "benign", "malignant"]
PREPARE = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "16,16"]
PREPARE += ["--input-dim", "1", "--class-names", ",".join(NAMES), "--validation-fraction", "0.3"]
GRAY = ("--input-dim", "1", "--epochs", "2", "--class-weight", "balanced")


def write_three_classes(folder: Path, count: int, seed: int) -> None:
    """Write `count` gray noise images into folders named by class, the brighter the graver."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        image = generator.integers(0, 120, (20, 20), dtype=np.uint8)
        image[6:14, 6:14] += 60 * (number % 3)
        path = folder / NAMES[number % 3] / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers that have the same images; tests add sites."""
    folder = tmp_path_factory.mktemp("three")
    with running_cluster(folder, num_workers=2) as cluster:
        write_three_classes(folder / "images", 240, seed=0)
        subprocess.run(PREPARE, cwd=ROOT, env=cluster.environment, check=True, capture_output=True)
        cluster.add_workers(2)
        yield cluster


def test_a_run_of_three_classes_tells_each_class_and_saves_what_it_scored(three: Cluster) -> None:
    import keras

    done = three.train("--run", "first", *GRAY)
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(three.folder / "metrics/first/scores.npz") as arrays:
        val_labels, val_scores = arrays["val_labels"], arrays["val_scores"].astype(np.float64)
        labels, scores = arrays["test_labels"], arrays["test_scores"].astype(np.float64)
    assert scores.shape == (len(labels), 3)
    best = three.table("first", "test.csv").iloc[0]
    assert pd.isna(best["threshold"])
    row = three.table("first", "rounds.csv").set_index("round").loc[best["round"]]
    mean_auc = metrics.roc_auc_score(val_labels, val_scores, multi_class="ovr")
    assert row["roc_auc"] == pytest.approx(mean_auc, abs=1e-9)
    assert row["accuracy"] == pytest.approx(np.mean(val_scores.argmax(axis=1) == val_labels))

    by_class = three.table("first", "classes.csv")
    assert by_class["name"].tolist() == NAMES * 2
    own = by_class[by_class["round"] == best["round"]]
    assert own["roc_auc"].mean() == pytest.approx(mean_auc, abs=1e-9)
    tested = three.table("first", "test_classes.csv")
    aucs = metrics.roc_auc_score(np.eye(3)[labels], scores, average=None)
    assert tested["roc_auc"].tolist() == pytest.approx(aucs.tolist(), abs=1e-9)
    assert (tested["roc_auc_low"] <= tested["roc_auc"]).all()
    assert tested["num_examples"].tolist() == np.bincount(labels).tolist()
    assert SENSITIVITY in tested
    confusion = three.table("first", "confusion.csv").set_index("true")
    assert (confusion.columns.tolist(), confusion.index.tolist()) == (NAMES, NAMES)
    expected = metrics.confusion_matrix(labels, scores.argmax(axis=1))
    np.testing.assert_array_equal(confusion.to_numpy(), expected)

    facts = json.loads((three.folder / "models/first/best.json").read_text())
    assert (facts["classes"], facts["threshold"]) == (NAMES, None)
    model = keras.models.load_model(three.folder / "models/first/best.keras")
    images = np.load(three.folder / "preprocessed/x_test.npy") / np.float32(255)
    np.testing.assert_allclose(model.predict(images, verbose=0), scores, rtol=0, atol=1e-6)
    for page in ("metrics/first/report.html", "models/first/model_card.md"):
        text = (three.folder / page).read_text()
        assert all(name in text for name in NAMES)
        assert "not as expected" not in text


@pytest.mark.long
def test_a_stopped_run_of_three_classes_goes_on_to_the_same_bits(three: Cluster) -> None:
    training = three.start_training("--run", "again", *GRAY)
    three.wait_for_task("train:2:")
    training.kill()
    training.communicate()
    done = three.train("--resume", "again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_runs(three, "again", "first")
    for name in ("classes.csv", "test_classes.csv", "confusion.csv"):
        assert three.table("again", name).equals(three.table("first", name))


def test_images_of_three_classes_are_predicted_by_name(three: Cluster, tmp_path: Path) -> None:
    import keras

    images = sorted((three.folder / "images/malignant").iterdir())[:3]
    model = three.folder / "models/first/best.keras"
    command = [sys.executable, "run.py", "predict", str(model), *map(str, images), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=three.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert len(table) == 3
    by_class = table[[f"probability_{name}" for name in NAMES]].to_numpy()
    decided = by_class.argmax(axis=1)
    assert table["decision"].tolist() == [f"{label} {NAMES[label]}" for label in decided]
    assert table["probability"].tolist() == by_class.max(axis=1).tolist()
    read = np.stack([cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in images])
    shrunk = np.stack([cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA) for image in read])
    expected = keras.models.load_model(model).predict(shrunk[..., None] / np.float32(255), verbose=0)
    np.testing.assert_allclose(by_class, expected, rtol=0, atol=1e-6)


def test_other_classes_than_the_settings_say_end_a_run_before_it_begins(three: Cluster) -> None:
    refused = three.train("--run", "other", *GRAY, "--class-names", "benign,normal,malignant")
    assert refused.returncode == 2
    assert "CLASS_NAMES: received ('benign', 'normal', 'malignant'), but the images" in refused.stderr
    assert not (three.folder / "metrics/other").exists()


@pytest.mark.long
def test_sites_of_three_classes_give_their_counts_and_one_of_other_classes_is_left_out(
    three: Cluster,
) -> None:
    for name, count in {"east": 90, "north": 60, "west": 60}.items():
        folder = three.folder / name
        write_three_classes(folder / "images", count, seed=count)
        own = three.environment | places(folder)
        order = NAMES if name != "west" else NAMES[::-1]
        prepare = [*PREPARE, "--class-names", ",".join(order)]
        subprocess.run(prepare, cwd=ROOT, env=own, check=True, capture_output=True)
        three.add_workers(1, **places(folder), DT_SITE=name)
    settings = ("--data-at", "sites", "--min-clients", "2", "--class-names", ",".join(NAMES))
    done = three.train("--run", "sites", *GRAY, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "site west: its classes are 0 malignant, 1 benign, 2 normal" in said
    assert three.table("sites", "clients.csv")["site"].tolist() == ["east", "north"] * 2
    confusion = three.table("sites", "confusion.csv").set_index("true")
    best = three.table("sites", "test.csv").iloc[0]
    assert confusion.to_numpy().sum() == best["num_examples"]
    assert best["accuracy"] == pytest.approx(np.trace(confusion.to_numpy()) / best["num_examples"])
    tested = three.table("sites", "test_classes.csv")
    assert tested["recall"].mean() == pytest.approx(best["recall"], abs=1e-12)
    assert tested["roc_auc"].mean() == pytest.approx(best["roc_auc"], abs=1e-12)
    assert set(three.table("sites", "rounds.csv")["roc_auc_over"]) == {BINNED}
