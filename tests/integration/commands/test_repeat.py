"""`run.py repeat` and `tune` on real workers, and what a repeated command skips."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from helpers.cluster.versions import ROOT
from helpers.launcher.embedded_redis import find_binary, start_server
from tests.integration.conftest import write_images

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
SMALL = ["--input-shape", "16,16", "--train-batch-size", "8", "--data-dir", "my_images", "--workers", "1"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Ninety images of two patients each, from two devices."""
    folder = tmp_path / "here"
    write_images(folder / "my_images", 90)
    lines = [
        f"{number % 2}/{number:04d}.png,p{number // 4 * 2 + number % 2},{'AB'[number // 4 % 2]}"
        for number in range(90)
    ]
    (folder / "my_images/manifest.csv").write_text("\n".join(["file,patient,device", *lines]) + "\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DT_THREADS", "1")
    with start_server(find_binary(), tmp_path / "redis") as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        yield folder


def run(command: str, *options: str) -> str:
    words = [sys.executable, str(ROOT / "run.py"), command, *SMALL, *options]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_device_is_left_out_in_turn_and_finished_trainings_are_skipped(folder):
    options = ["--leave-out", "device", "--run", "mine", "--epochs", "1"]
    assert "Training 2 of 2, without B: run mine-without-B" in run("repeat", *options)
    table = pd.read_csv(folder / "metrics/mine/repeat.csv")
    assert table["training"].tolist() == ["without A", "without B"]
    assert table["num_examples"].sum() == 90
    again = run("repeat", *options)
    assert "Training 1 of 2, without A: finished" in again
    assert "Training 2 of 2, without B: finished" in again
    assert (folder / "metrics/mine/repeat.html").is_file()


@pytest.mark.skipif(not importlib.util.find_spec("optuna"), reason="needs requirements-tune.txt")
def test_a_search_trains_folds_without_the_test_and_goes_on(folder):
    options = ["--search", "base_lr=1e-4..1e-2:log", "--folds", "2", "--run", "lr", "--epochs", "1"]
    assert "2 trials finished" in run("tune", *options, "--trials", "1")
    text = run("tune", *options, "--trials", "2")
    assert "3 trials finished" in text
    assert "trial 1, fold 2 of 2" in text
    assert len(pd.read_csv(folder / "metrics/lr/tune.csv")) == 3
    assert not any((folder / "models/lr").iterdir())
