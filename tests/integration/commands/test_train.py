"""`run.py train` from images to results, and what it leaves running: nothing."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from distributed_training_index import train
from helpers.cluster.connection import connect
from helpers.cluster.heartbeat import live_workers
from helpers.cluster.versions import ROOT
from helpers.launcher.embedded_redis import find_binary, start_server
from helpers.settings.errors import UserError
from tests.integration.conftest import is_running, write_images

SMALL = ["--input-shape", "16,16", "--train-batch-size", "8", "--data-dir", "my_images"]
Run = Callable[..., subprocess.CompletedProcess[str]]


def running_workers(redis_url: str) -> list[int]:
    """The process ids of workers; a heartbeat may outlive its process."""
    pids = [status["pid"] for status in live_workers(connect(redis_url)).values()]
    return [pid for pid in pids if is_running(pid)]


@pytest.fixture
def redis_url(tmp_path, monkeypatch):
    with start_server(find_binary(), tmp_path / "redis") as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        yield server.url


@pytest.fixture
def folder(tmp_path, redis_url, monkeypatch) -> Path:
    folder = tmp_path / "here"
    write_images(folder / "my_images", 90)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DT_THREADS", "1")
    return folder


def run_train(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), "train", *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_images_become_results_and_a_second_training_reuses_them(folder, redis_url):
    first = run_train(*SMALL, "--workers", "2", "--epochs", "1", "--run", "first")
    assert first.returncode == 0, first.stdout + first.stderr
    assert re.search(r"Images: preparing my_images in preprocessed/my_images-16x16-\w{8}", first.stdout)
    assert "Workers: starting 2 (logs in logs/first)" in first.stdout
    clients = pd.read_csv("metrics/first/clients.csv")
    assert clients["client"].tolist() == [0, 1]
    for file in ("metrics/first/test.csv", "models/first/best.keras", "logs/first/worker2.log"):
        assert Path(file).is_file()
    assert not running_workers(redis_url)

    longer = run_train("--resume", "first", "--epochs", "2", "--force")
    assert longer.returncode == 0, longer.stdout + longer.stderr
    assert pd.read_csv("metrics/first/rounds.csv")["round"].tolist() == [1, 2]

    again = run_train(*SMALL, "--workers", "1", "--num-workers", "3", "--epochs", "1", "--run", "second")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "(images and settings are unchanged)" in again.stdout
    assert pd.read_csv("metrics/second/clients.csv")["client"].tolist() == [0, 1, 2]


def test_ctrl_c_ends_the_training_after_the_round_and_stops_the_workers(folder, redis_url):
    command = [sys.executable, str(ROOT / "run.py"), "train", *SMALL, "--workers", "1", "--epochs", "500"]
    process = subprocess.Popen(
        [*command, "--run", "long"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            if line.startswith("Round 1/"):
                break
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=180)
    finally:
        process.terminate()
    assert process.returncode == 130
    assert "stopping after this round" in output
    assert errors.endswith("to continue: python run.py train --resume long\n")
    assert not running_workers(redis_url)


def test_a_worker_that_is_killed_ends_the_training_in_one_line(folder, redis_url):
    command = [sys.executable, str(ROOT / "run.py"), "train", *SMALL, "--workers", "1", "--epochs", "500"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 180
        while not (live := live_workers(connect(redis_url))) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(next(iter(live.values()))["pid"], signal.SIGKILL)
        _, errors = process.communicate(timeout=180)
    finally:
        process.terminate()
    assert process.returncode == 3
    assert errors.endswith("error: every worker has ended\n")


def test_as_a_library_it_returns_the_run_and_raises_errors(folder, redis_url):
    lines: list[str] = []
    settings = {"DATA_DIR": Path("my_images"), "INPUT_SHAPE": (16, 16), "EPOCHS": 1}
    run = train("first", workers=2, say=lines.append, **settings)
    assert run.rounds["round"].tolist() == [1]
    assert run.clients["client"].tolist() == [0, 1]
    assert 0 <= run.test["roc_auc"].item() <= 1
    assert run.report.is_file()
    assert run.model().output_shape == (None, 1)
    assert any(line.startswith("Round 1/1") for line in lines)
    with pytest.raises(UserError, match="--run first: already exists"):
        train("first", **settings)
    with pytest.raises(UserError, match="EPOCHS"):
        train("second", **settings | {"EPOCHS": 0})
    with pytest.raises(UserError, match="EPOHCS: there is no such setting; did you mean EPOCHS"):
        train("second", EPOHCS=3)
    with pytest.raises(UserError, match="16, 16"):  # found by the training command
        train(
            "second",
            PREPROCESSED_DIR=next(Path("preprocessed").iterdir()),
            INPUT_SHAPE=(32, 32),
            say=lines.append,
        )
    assert not running_workers(redis_url)
