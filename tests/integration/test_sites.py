"""Three sites whose folders share no file, and a worker for the averaging that has no images at all."""

import base64
import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn import metrics

from helpers.cluster.heartbeat import live_workers
from helpers.cluster.versions import ROOT
from helpers.evaluation.tallies import MEAN
from helpers.launcher.worker_processes import WorkerProcesses
from helpers.sites.audit import AuditLog
from tests.integration.conftest import Cluster, places, running_cluster, write_images
from tests.integration.test_client_state import assert_same_runs

SITES = {"north": 90, "south": 60, "west": 40}
SETTINGS = ("--data-at", "sites", "--min-clients", "2", "--worker-timeout-s", "4", "--local-epochs", "4")


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A worker without images and without a site, in a folder of its own; the tests add the sites."""
    folder = tmp_path_factory.mktemp("apart")
    with running_cluster(folder, num_workers=3) as cluster:
        cluster.add_workers(1)
        for name, count in SITES.items():
            write_images(folder / name / "images", count, seed=count)
            prepare = [sys.executable, "preprocessing/load_and_create_dataset.py"]
            prepare += ["--input-shape", "16,16", "--validation-fraction", "0.3"]
            own = cluster.environment | places(folder / name)
            if name == "west":
                (folder / "west/sites/west").mkdir(parents=True)
                (folder / "west/sites/west/site.toml").write_text("keep_models = true\n")
            subprocess.run(prepare, cwd=ROOT, env=own, check=True, capture_output=True)
            cluster.add_workers(1, **places(folder / name), DT_SITE=name, DT_SHARE_SCORES="pairs")
        yield cluster


def group_of(cluster: Cluster, site: str) -> WorkerProcesses:
    """The processes that serve a site."""
    statuses = live_workers(cluster.client).values()
    pids = {status["pid"] for status in statuses if (status["site"] or {}).get("name") == site}
    return next(group for group in cluster.groups if pids & {worker.process.pid for worker in group._workers})


def num_test_images(cluster: Cluster, site: str) -> int:
    return len(np.load(cluster.folder / site / "preprocessed/y_test.npy"))


def written_to_redis(cluster: Cluster) -> bytes:
    """Everything that was ever written to the server, by its append-only file; messages also decoded."""
    files = sorted((cluster.folder / "redis").rglob("*.aof"))
    written = b"".join(file.read_bytes() for file in files)
    bodies = re.findall(rb'"body": "([A-Za-z0-9+/=]+)"', written)
    return written + b"".join(base64.b64decode(body) for body in bodies)


def test_the_metrics_are_those_of_all_sites_images_together(apart: Cluster) -> None:
    done = apart.train("--run", "together", "--epochs", "2", "--base-lr", "1e-5", *SETTINGS)
    assert done.returncode == 0, done.stdout + done.stderr
    rounds, clients = apart.table("together", "rounds.csv"), apart.table("together", "clients.csv")
    assert clients["site"].tolist() == ["north", "south", "west"] * 2
    assert (rounds["num_scored"] == 3).all()
    assert set(rounds["roc_auc_over"]) == {"all images"}
    page = (apart.folder / "metrics/together/report.html").read_text()
    assert "its site’s own validation images" in page
    assert '<th scope="row">south</th>' in page
    data = json.loads((apart.folder / "metrics/together/run.json").read_text())["data"]
    assert [site["name"] for site in data["sites"]] == [*SITES]
    num_tests = sum(num_test_images(apart, name) for name in SITES)
    assert sum(data["counts"]["test"].values()) == num_tests
    assert data["patients"] is None
    best = apart.table("together", "test.csv").iloc[0]
    with np.load(apart.folder / "metrics/together/scores.npz") as arrays:
        labels, scores = arrays["val_labels"], arrays["val_scores"].astype(np.float64)
        test_labels, test_scores = arrays["test_labels"], arrays["test_scores"]
        sites = {str(name).partition(":")[0] for name in arrays["test_files"]}
    assert sites == set(SITES)
    row = rounds[rounds["round"] == best["round"]].iloc[0]
    assert row["roc_auc"] < 1  # otherwise a mean of the sites would be equal too
    assert row["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert row["val_loss"] == pytest.approx(metrics.log_loss(labels, scores.clip(1e-7, 1 - 1e-7)), abs=1e-6)
    assert row["accuracy"] == pytest.approx(metrics.accuracy_score(labels, scores >= 0.5), abs=1e-12)
    assert row["recall"] == pytest.approx(metrics.recall_score(labels, scores >= 0.5), abs=1e-12)
    assert best["roc_auc"] == pytest.approx(metrics.roc_auc_score(test_labels, test_scores), abs=1e-12)
    assert best["num_examples"] == len(test_labels) == num_tests


def test_a_run_that_stops_before_a_round_is_scored_goes_on_to_the_same_bits(apart: Cluster) -> None:
    for run in (f"stopped-{number}" for number in range(5)):  # a tenth of a second is easily missed
        training = apart.start_training("--run", run, "--epochs", "2", "--base-lr", "1e-5", *SETTINGS)
        apart.wait_for_task("score-val:2:")
        training.kill()  # averaged, but not in the records
        training.communicate()
        if len(apart.table(run, "rounds.csv")) == 1:
            break
    assert len(apart.table(run, "rounds.csv")) == 1
    done = apart.train("--resume", run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_runs(apart, run, "together")


def test_a_private_run_accounts_for_every_site(apart: Cluster) -> None:
    private = ("--dp", "example", "--dp-target-epsilon", "8", "--architecture", "seed_cnn_groupnorm")
    done = apart.train("--run", "private", "--epochs", "1", *SETTINGS, *private)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DP=example: every site finds the noise for its own number of images" in done.stdout
    rounds, clients = apart.table("private", "rounds.csv"), apart.table("private", "clients.csv")
    assert (clients["attempt"] == 0).all()  # a second one would have spent as much again
    assert clients["epsilon"].between(7.9, 8).all()
    assert rounds["epsilon"].tolist() == [clients["epsilon"].max()]
    assert clients["train_loss"].isna().all()


def test_nothing_of_an_image_leaves_a_site_and_nothing_of_the_run_lies_there(apart: Cluster) -> None:
    written = written_to_redis(apart)
    assert b"scores-val:1:1:0" in written
    assert b'"job": "train:1:1"' in written  # in a message
    for name in SITES:
        folder = apart.folder / name
        assert sorted(path.name for path in folder.iterdir()) == ["images", "preprocessed", "sites"]
        images = np.load(folder / "preprocessed/x_train.npy")
        assert all(image.tobytes()[:48] not in written for image in images)
        assert all(file.name.encode() not in written for file in (folder / "images").rglob("*.png"))
    assert not (apart.folder / "preprocessed").exists()


@pytest.mark.long
def test_a_site_leaves_and_comes_back_and_keeps_its_scores(apart: Cluster) -> None:
    by_rows = ("--optimizer-state", "keep", "--logit-adjustment", "true")  # functions of a site's own rows
    training = apart.start_training("--run", "leaving", "--epochs", "3", *by_rows, *SETTINGS)
    try:
        apart.wait_for_task("train:1:1")
        with frozen(training):
            group_of(apart, "south").stop(grace_s=30)
        apart.wait_for_task("train:2:")
        with frozen(training):
            away = len(written_to_redis(apart))
            own = places(apart.folder / "south")
            apart.add_workers(1, **own, DT_SITE="south", DT_SHARE_SCORES="none")
        output, errors = training.communicate(timeout=240)
    finally:
        training.kill()
    assert training.returncode == 0, output + errors
    assert "south left" in output
    assert "south joined" in output
    assert "site south is left out of the metrics" in output
    rounds, clients = apart.table("leaving", "rounds.csv"), apart.table("leaving", "clients.csv")
    assert rounds["num_clients"].tolist() in ([3, 2, 3], [2, 2, 3])  # it may have been done with training
    assert rounds["num_scored"].tolist() == [2, 2, 3]
    assert rounds["roc_auc_over"].tolist() == ["all images", "all images", MEAN]
    assert set(apart.table("leaving", "sites.csv")["site"]) == {"north", "west"}  # south shares `none`
    assert clients["client"].tolist() == [0, 1, 2, 0, 2, 0, 1, 2]
    assert clients.groupby("site")["client"].unique().map(list).to_dict() == {
        "north": [0], "south": [1], "west": [2],
    }  # fmt: skip
    states = apart.weights("leaving", "state-0003-*")
    assert [name[:12] for name in sorted(states)] == ["state-0003-0", "state-0003-1", "state-0003-2"]
    workers = clients.groupby("site")["worker"].unique()
    assert len({worker for names in workers for worker in names}) == 4  # south's two, no one's twice
    written = written_to_redis(apart)[away:]
    assert b"scores-val:3:0:0" in written
    assert b"scores-val:3:1:" not in written
    assert b"scores-test:" in written
    best = apart.table("leaving", "test.csv").iloc[0]
    assert (best["threshold"], best["roc_auc_over"]) == (0.5, MEAN)
    assert not (apart.folder / "metrics/leaving/scores.npz").exists()
    assert (apart.folder / "metrics/leaving/report.html").exists()
    card = (apart.folder / "models/leaving/model_card.md").read_text()
    assert f"The ROC-AUC is the {MEAN}." in card
    assert not any(name in card for name in SITES)


def test_each_site_sees_whether_joining_was_worth_it(apart: Cluster) -> None:
    done = apart.train("--run", "worth", "--epochs", "2", "--compare", *SETTINGS)
    assert done.returncode == 0, done.stdout + done.stderr
    table = apart.table("worth", "sites.csv")
    rows = [(model, site) for site in SITES for model in ("global", "fine-tuned", "local")]
    assert list(zip(table["model"], table["site"], strict=True)) == rows
    assert table["num_examples"].tolist() == [num_test_images(apart, site) for _, site in rows]
    assert (table["roc_auc_low"] <= table["roc_auc"]).all()
    assert (table["roc_auc"] <= table["roc_auc_high"]).all()
    test = apart.table("worth", "test.csv").iloc[0]
    of_run = table[table["model"] == "global"]
    correct = (of_run["accuracy"] * of_run["num_examples"]).sum()
    assert correct == pytest.approx(test["accuracy"] * test["num_examples"], abs=0.02)
    page = (apart.folder / "metrics/worth/report.html").read_text()
    assert "Was it worth joining?" in page
    kept = apart.folder / "west/sites/west/runs/worth"
    names = sorted(path.name for path in kept.iterdir())
    assert names == ["fine-tuned.keras", "global.keras", "local.keras", "test.csv"]
    assert not (apart.folder / "north/sites/north/runs").exists()


@pytest.mark.timeout(900)
def test_a_site_that_leaves_is_not_waited_for(apart: Cluster) -> None:
    patient = (*SETTINGS, "--worker-timeout-s", "250", "--local-epochs", "300")  # a site looks once a second
    south = apart.folder / "south/sites/south"
    training = apart.start_training("--run", "left", "--epochs", "2", *patient)
    try:
        apart.wait_for_task("train:1:1")
        south.mkdir(parents=True, exist_ok=True)
        (south / "leave").touch()  # as `run.py leave`
        output, errors = training.communicate(timeout=600)
    finally:
        training.kill()
    assert training.returncode == 0, output + errors
    assert "the site has left" in " ".join(output.split())
    clients = apart.table("left", "clients.csv")
    assert clients["status"].tolist() == ["ok", "failed", "ok", "ok", "ok"]
    entries = AuditLog(south).entries()
    assert entries[-1]["decision"] == "failed: the site leaves"
    apart.add_workers(1, **places(apart.folder / "south"), DT_SITE="south", DT_SHARE_SCORES="pairs")


@contextlib.contextmanager
def frozen(process: subprocess.Popen[str]) -> Iterator[None]:
    """Stop a process in its tracks for a while."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("option", "value"), [("--num-clients", "3"), ("--partition", "iid"), ("--num-workers", "auto")]
)
def test_what_needs_all_images_is_refused_by_name(apart: Cluster, option: str, value: str) -> None:
    refused = apart.train("--run", "unfit", *SETTINGS, option, value)
    assert refused.returncode == 2
    assert "with DATA_AT=sites" in refused.stderr
    assert option[2:].replace("-", "_") in refused.stderr.lower()
