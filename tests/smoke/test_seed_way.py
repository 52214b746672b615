"""The commands of the original README, as written: each worker by hand, then the orchestrator."""

import os
import subprocess
import sys
from pathlib import Path

from helpers.cluster.versions import ROOT
from helpers.launcher.child_processes import start_apart, stop_all
from helpers.launcher.embedded_redis import find_binary, start_server
from tests.integration.conftest import write_images

CELERY = [sys.executable, "-m", "celery"]
WORKER = ["--app=celery_app", "worker", "--pool=solo", "--loglevel=info"]


def test_the_orchestrator_prepares_the_images_waits_for_workers_and_trains(tmp_path: Path) -> None:
    write_images(tmp_path / "vanitha_mam_breast_cancer_dataset", 90)
    places = {"DATA_DIR": "vanitha_mam_breast_cancer_dataset", "PREPROCESSED_DIR": "preprocessed"}
    places |= {"METRICS_DIR": "metrics", "MODELS_DIR": "models"}
    with start_server(find_binary(), tmp_path / "redis") as server:
        environment = {
            **os.environ,
            "REDIS_URL": server.url,
            "DT_INPUT_SHAPE": "[16,16]",
            "DT_EPOCHS": "2",
            "DT_THREADS": "1",
            **{f"DT_{name}": str(tmp_path / folder) for name, folder in places.items()},
        }
        training = subprocess.Popen(
            [sys.executable, "distributed_training_index.py", "--run", "seed"],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert training.stdout is not None
        said = []
        for line in training.stdout:
            said.append(line)
            if "no live worker" in line:
                break
        assert any("has no prepared images; preparing" in line for line in said)
        assert (tmp_path / "preprocessed/x_train.npy").exists()

        workers = []
        try:
            for name in ("worker1", "worker2"):
                output = (tmp_path / f"{name}.log").open("wb")
                workers.append(start_apart([*CELERY, *WORKER, f"--hostname={name}@%h"], output, environment))
            rest, _ = training.communicate(timeout=400)
            assert training.returncode == 0, "".join(said) + rest
            twice = subprocess.run(
                [*CELERY, *WORKER, "--hostname=worker2@%h"],
                cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180,
            )  # fmt: skip
            assert twice.returncode != 0
            assert "held by a live worker" in twice.stderr
        finally:
            stop_all(workers)
    for file in ("metrics/seed/rounds.csv", "metrics/seed/report.html", "models/seed/best.keras"):
        assert (tmp_path / file).exists()
