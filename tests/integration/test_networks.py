"""Whole runs of another network: what clients compute in, what is saved, what a worker refuses."""

import json
import subprocess
import sys
from pathlib import Path

import albumentations
import numpy as np
import pytest
from albumentations import Compose, HorizontalFlip, RandomGamma

from helpers.cluster.versions import ROOT
from tests.integration.conftest import Cluster, running_cluster, write_images
from tests.integration.test_faults import finish


@pytest.fixture(autouse=True)
def _three_workers(cluster: Cluster) -> None:
    cluster.have_workers(3)


@pytest.mark.long
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


HEAD_FIRST = [
    *("--architecture", "mobilenet_v3_small", "--pretrained", "body.weights.h5", "--input-shape", "32,32"),
    *("--epochs", "3", "--head-rounds", "1", "--optimizer-state", "keep", "--strategy", "fedadam"),
]


@pytest.mark.long
def test_a_run_that_trains_its_head_first_is_resumed_to_the_bit(tmp_path: Path) -> None:
    import keras

    body = keras.applications.MobileNetV3Small((32, 32, 3), include_top=False, weights=None)
    (tmp_path / "pretrained").mkdir()
    body.save_weights(tmp_path / "pretrained" / "body.weights.h5")
    write_images(tmp_path / "images", 120)
    with running_cluster(tmp_path, num_workers=2) as cluster:
        cluster.environment["DT_PRETRAINED_DIR"] = str(tmp_path / "pretrained")
        prepare = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "32,32"]
        subprocess.run(prepare, cwd=ROOT, env=cluster.environment, check=True, capture_output=True)
        cluster.add_workers(2)
        done = cluster.train("--run", "whole", *HEAD_FIRST)
        assert done.returncode == 0, done.stderr
        state_bytes = cluster.table("whole", "rounds.csv")["state_bytes"].tolist()
        assert state_bytes[0] == 0 < state_bytes[1] < state_bytes[2]  # kept after the rounds of the head
        training = cluster.start_training("--run", "again", *HEAD_FIRST)
        cluster.wait_for_task("train:2")
        training.kill()
        finish(training)
        resumed = cluster.train("--resume", "again")
        assert resumed.returncode == 0, resumed.stderr
        assert cluster.weights("again", "*.safetensors") == cluster.weights("whole", "*.safetensors")
