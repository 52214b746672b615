"""Whole runs of another network: what clients compute in, what is saved, what a worker refuses."""

import json
from pathlib import Path

import albumentations
import numpy as np
import pytest
from albumentations import Compose, HorizontalFlip, RandomGamma

from tests.integration.conftest import Cluster


@pytest.fixture(autouse=True)
def _three_workers(cluster: Cluster) -> None:
    cluster.have_workers(3)


def test_clients_compute_in_half_and_what_was_scored_is_what_was_saved(
    cluster: Cluster, tmp_path: Path
) -> None:
    import keras

    albumentations.save(Compose([HorizontalFlip(p=0.5), RandomGamma(p=0.3)]), tmp_path / "mine.json")
    done = cluster.train(
        *("--run", "resnet", "--epochs", "1", "--architecture", "resnet_groupnorm", "--num-workers", "1"),
        *("--precision", "mixed_bfloat16", "--augmentation", str(tmp_path / "mine.json")),
    )
    assert done.returncode == 0, done.stderr
    assert set(cluster.table("resnet", "clients.csv")["status"]) == {"ok"}
    scores = np.load(cluster.folder / "metrics" / "resnet" / "scores.npz")["val_scores"]
    model = keras.models.load_model(cluster.folder / "models" / "resnet" / "best.keras")
    images = np.load(cluster.folder / "preprocessed" / "x_val.npy") / np.float32(255)
    np.testing.assert_allclose(model.predict(images, verbose=0).reshape(-1), scores, rtol=0, atol=1e-6)
    settings = json.loads((cluster.folder / "metrics" / "resnet" / "run.json").read_text())["settings"]
    assert "HorizontalFlip" in settings["AUGMENTATION"]  # content, no path
    assert str(tmp_path) not in json.dumps(settings)


def test_a_function_that_no_worker_allows_and_too_small_images_end_a_run_in_one_line(
    cluster: Cluster,
) -> None:
    refused = cluster.train("--run", "own", "--architecture", "antigravity:fly")
    assert refused.returncode == 3
    assert "DT_OWN_ARCHITECTURES=antigravity:fly" in refused.stderr
    small = cluster.train("--run", "small", "--architecture", "mobilenet_v3_small")
    assert small.returncode == 2
    assert small.stderr.startswith("error: INPUT_SHAPE: received (16, 16): ARCHITECTURE=mobilenet_v3_small")
