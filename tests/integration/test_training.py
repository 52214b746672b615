"""Whole trainings on real workers and a real Redis."""

import hashlib
import json
import re
import shutil
import socket
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

from helpers.cluster.connection import connect
from helpers.cluster.heartbeat import live_workers
from helpers.cluster.job_board import ENDED
from helpers.launcher.worker_processes import WorkerProcesses
from helpers.reporting.anonymous import write_anonymous
from tests.integration.conftest import Cluster, log_to

HOST = socket.gethostname()
TIMES = ["seconds", "started_at", "transfer_seconds", "aggregation_started_at"]


def test_a_run_leaves_the_promised_files(cluster: Cluster) -> None:
    done = cluster.train("--run", "files", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    rounds = cluster.table("files", "rounds.csv")
    expected = (
        "round,num_clients,num_examples,train_loss,val_loss,accuracy,precision,recall,f1_score,roc_auc,"
        "seconds,bytes_down,bytes_up"
    )
    assert list(rounds.columns)[:13] == expected.split(",")
    assert rounds["round"].tolist() == [1, 2, 3]
    assert (rounds["num_examples"] == 568).all()  # 900 - 30 % test, - 10 % of the rest
    assert (rounds["bytes_up"] == rounds["bytes_down"]).all()
    clients = cluster.table("files", "clients.csv")
    assert clients.groupby("round")["num_examples"].sum().tolist() == [568] * 3
    assert set(clients["status"]) == {"ok"}
    test = cluster.table("files", "test.csv")
    assert test["model"].tolist() == ["best"]
    best_round = rounds.loc[rounds["roc_auc"].idxmax(), "round"]
    assert test["round"].item() == best_round
    scores = np.load(cluster.folder / "metrics/files/scores.npz", allow_pickle=False)
    assert len(scores["test_labels"]) == len(scores["test_scores"]) == len(scores["test_files"]) == 270
    assert zipfile.is_zipfile(cluster.folder / "models/files/best.keras")
    assert zipfile.is_zipfile(cluster.folder / "models/files/last.keras")
    facts = json.loads((cluster.folder / "metrics/files/run.json").read_text())
    assert re.fullmatch(r"\w+ \d+\.\d+\.\d+", facts["environment"]["redis server"])
    assert facts["data"]["split_by"] == "drawn"
    assert facts["started_at"] < facts["ended_at"]
    assert facts["hosts"] == {"orchestrator": HOST, "writer": HOST, "workers": [HOST]}
    manifest = (cluster.folder / "metrics/files/manifest.json").read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == facts["data_digest"]
    state = json.loads((cluster.folder / "models/files/state.json").read_text())["state"]
    assert rounds["weights_sha256"].iloc[-1][:12] in state["weights_file"]
    card = (cluster.folder / "models/files/model_card.md").read_text()
    assert f"the model after round {best_round} of 3" in card
    assert "270 test images" in card
    assert "Test of the best model" in done.stdout
    assert "metrics/files" in done.stdout

    shared = cluster.folder / "shared"
    write_anonymous(cluster.folder / "metrics", cluster.folder / "models", "files", shared)
    entries = json.loads(manifest)["files"]
    private = [
        *clients["worker"],
        *(entry["file"] for entry in entries),
        *(entry["sha256"] for entry in entries),
    ]
    for file in shared.iterdir():
        text = file.read_text()
        assert [word for word in private if word in text] == [], file.name


def test_a_smoothed_choice_and_the_test_of_the_last_round(cluster: Cluster) -> None:
    recipe = [
        "--recipe",
        "readme",
        "--input-shape",
        "16,16",
        "--augmentation",
        "none",
        "--train-batch-size",
        "8",
    ]
    done = cluster.train("--run", "chosen", "--epochs", "6", "--choice", "smoothed", *recipe)
    assert done.returncode == 0, done.stderr
    assert "Run chosen: 6 rounds, recipe readme" in done.stdout
    aucs = cluster.table("chosen", "rounds.csv")["roc_auc"]
    means = aucs.rolling(3).mean()[3:]  # from two thirds of the rounds on
    chosen = int(means.idxmax()) + 1
    assert cluster.table("chosen", "test.csv")["round"].item() == chosen
    best = json.loads((cluster.folder / "models/chosen/best.json").read_text())
    assert best["metric"] == "validation roc_auc, mean of 3 rounds"
    assert best["value"] == pytest.approx(means.max())
    facts = json.loads((cluster.folder / "metrics/chosen/run.json").read_text())
    assert facts["settings"]["RECIPE"] == "readme"
    assert (best["test_roc_auc_of_last"] is None) == (chosen == 6)


def test_the_same_settings_give_the_same_numbers(cluster: Cluster) -> None:
    for run in ("same-1", "same-2"):
        assert cluster.train("--run", run, "--epochs", "2").returncode == 0
    for name, key in (("rounds.csv", ["round"]), ("clients.csv", ["round", "client"])):
        tables = [
            cluster.table(run, name).drop(columns=[*TIMES, "worker"], errors="ignore").sort_values(key)
            for run in ("same-1", "same-2")
        ]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert cluster.weights("same-1") == cluster.weights("same-2")
    other = cluster.train("--run", "other-seed", "--epochs", "2", "--seed", "7")
    assert other.returncode == 2
    assert "--seed 7" in other.stdout + other.stderr


@pytest.mark.long
def test_weights_may_lie_in_a_folder_instead_of_redis(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "weights of the run"
    own = {"REDIS_URL": cluster.server.url.removesuffix("/0") + "/1", "DT_WEIGHT_STORE": folder.as_uri()}
    elsewhere = replace(cluster, environment=cluster.environment | own)
    client = connect(own["REDIS_URL"])
    names = ["folder1", "folder2"]
    with WorkerProcesses(names, elsewhere.environment, log_to(tmp_path / "workers.log")) as workers:
        workers.wait_until_ready(client)
        shown = [status["weight_store"] for status in live_workers(client).values()]
        assert shown == [folder.as_uri()] * 2
        training = elsewhere.start_training("--run", "folder", "--epochs", "2")
        stored = set()
        while training.poll() is None:
            stored.update(file.name.split("%3A")[4] for file in folder.glob("*.weights"))
            assert not list(client.scan_iter("dt:*:weights:*")) + list(client.scan_iter("*:unfinished:*"))
            time.sleep(0.005)
        assert training.returncode == 0, training.communicate()[1]
    assert stored == {"weights", "update", "scores"}
    assert not list(folder.iterdir())
    assert cluster.train("--run", "no-folder", "--epochs", "2").returncode == 0
    assert cluster.weights("folder") == cluster.weights("no-folder")


@pytest.mark.parametrize("clients", [1, 2, 5])
def test_any_number_of_clients(cluster: Cluster, clients: int) -> None:
    run = f"clients-{clients}"
    done = cluster.train("--run", run, "--epochs", "1", "--num-workers", str(clients))
    assert done.returncode == 0, done.stderr
    assert "retrying" not in done.stdout
    table = cluster.table(run, "clients.csv")
    assert table["client"].tolist() == list(range(clients))
    assert table["num_examples"].sum() == 568


def test_nothing_is_left_in_redis_but_keys_with_a_time_to_live(cluster: Cluster) -> None:
    assert cluster.train("--run", "keys", "--epochs", "2").returncode == 0
    client = cluster.client
    for key in client.scan_iter("*"):
        name = key.decode()
        if not re.match(r"(\w+:)?(_kombu|unacked)", name):  # the broker's own, in any namespace
            assert client.pttl(key) != -1, name  # as Redis says that it will never go
    assert client.llen("train") == client.llen("aggregate") == 0
    assert not list(client.scan_iter("dt:run:keys:*:update:*"))
    assert client.get("dt:run:keys:session") == ENDED


def test_an_existing_name_is_refused(cluster: Cluster) -> None:
    assert cluster.train("--run", "taken", "--epochs", "1").returncode == 0
    state = (cluster.folder / "models/taken/state.json").read_bytes()
    refused = cluster.train("--run", "taken", "--epochs", "1")
    assert refused.returncode == 2
    assert "--overwrite" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (cluster.folder / "models/taken/state.json").read_bytes() == state
    assert json.loads(state)["state"]["round"] == 1


def test_images_prepared_at_another_size_are_refused(cluster: Cluster) -> None:
    refused = cluster.train("--run", "size", "--input-shape", "32,32")
    assert refused.returncode == 2
    assert "INPUT_SHAPE" in refused.stderr


def test_the_reported_metrics_are_scikit_learns_on_the_stored_scores(cluster: Cluster) -> None:
    assert cluster.train("--run", "metrics", "--epochs", "2").returncode == 0
    scores = np.load(cluster.folder / "metrics/metrics/scores.npz", allow_pickle=False)
    rounds = cluster.table("metrics", "rounds.csv")
    best = rounds.loc[rounds["roc_auc"].idxmax()]
    test = cluster.table("metrics", "test.csv").iloc[0]
    rows = (("val", best, 0.5), ("test", test, test["threshold"]))
    for split, row, threshold in rows:
        labels, values = scores[f"{split}_labels"], scores[f"{split}_scores"].astype(float)
        decisions = values >= threshold
        undefined = {"zero_division": np.nan}
        expected = {
            "accuracy": sk.accuracy_score(labels, decisions),
            "precision": sk.precision_score(labels, decisions, **undefined),
            "recall": sk.recall_score(labels, decisions, **undefined),
            "f1_score": sk.f1_score(labels, decisions, **undefined),
            "roc_auc": sk.roc_auc_score(labels, values),
            "average_precision": sk.average_precision_score(labels, values),
            "specificity": sk.recall_score(1 - labels, ~decisions, **undefined),
            "balanced_accuracy": sk.balanced_accuracy_score(labels, decisions),
            "brier_score": sk.brier_score_loss(labels, values),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(row[name], value, rtol=1e-9, err_msg=f"{split} {name}")
    intervals = [name for name in test.index if name.endswith("_low")]
    assert len(intervals) == 11
    for name in intervals:
        plain = name.removesuffix("_low")
        if not np.isnan(test[name]):
            assert test[name] <= test[f"{plain}_high"]


def test_the_same_budget_three_ways(cluster: Cluster) -> None:
    options = ("--epochs", "1", "--num-workers", "2", "--class-weight", "balanced", "--tensorboard")
    done = cluster.train("--run", "ways", "--compare", *options)
    assert done.returncode == 0, done.stderr
    assert "4 trainings, EPOCHS 1 each" in done.stdout
    table = cluster.table("ways", "compare.csv")
    assert table["model"].tolist() == ["federated", "pooled", "client 0 alone", "client 1 alone"]
    assert np.isnan(table["difference"][0])
    assert table["roc_auc"].between(table["roc_auc_low"], table["roc_auc_high"]).all()
    clients = cluster.table("ways-client-1-alone", "clients.csv")
    assert clients["client"].tolist() == [1]
    assert clients["num_examples"].sum() < 568 / 2 + 1
    assert cluster.table("ways-pooled", "rounds.csv")["num_examples"].tolist() == [568]
    assert list((cluster.folder / "metrics/ways/tensorboard").rglob("events.*"))
    for part in ("metrics", "models"):  # as if it had been stopped before the last way
        shutil.rmtree(cluster.folder / part / "ways-client-1-alone")
    (cluster.folder / "metrics/ways/compare.csv").unlink()
    resumed = cluster.train("--resume", "ways", "--compare")
    assert resumed.returncode == 0, resumed.stderr
    pd.testing.assert_frame_equal(cluster.table("ways", "compare.csv"), table, check_exact=True)
    assert cluster.train("--resume", "never-was", "--compare").returncode == 2
    report = (cluster.folder / "metrics/ways/report.html").read_text()
    assert 'http-equiv="refresh"' not in report
    assert "client 1 alone" in (cluster.folder / "metrics/ways/compare.html").read_text()
    assert "data:image/png" in report
