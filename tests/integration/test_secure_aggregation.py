"""Sites whose updates are summed under masks: the same model, from sums alone, whoever drops out."""

import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors.numpy import load

from helpers.cluster.versions import ROOT
from helpers.launcher.worker_processes import WorkerProcesses
from tests.integration.conftest import Cluster, log_to, places, running_cluster, write_images
from tests.integration.dying_worker import VARIABLE
from tests.integration.test_client_state import assert_same_runs

SITES = {"north": 90, "south": 60, "west": 60}
PLAIN = ("--data-at", "sites", "--min-clients", "2", "--worker-timeout-s", "4", "--base-lr", "1e-4")
SECURE = (*PLAIN, "--secure-aggregation", "true")
STEPS = ("announce_keys", "share_secrets", "train_securely", "reveal_shares")


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A worker for the averaging and three sites in folders of their own."""
    folder = tmp_path_factory.mktemp("apart")
    with running_cluster(folder, num_workers=3) as cluster:
        cluster.add_workers(1)
        for name, count in SITES.items():
            write_images(folder / name / "images", count, seed=count)
            prepare = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "16,16"]
            own = cluster.environment | places(folder / name)
            subprocess.run(prepare, cwd=ROOT, env=own, check=True, capture_output=True)
        add_sites(cluster, "north", "south", "west")
        yield cluster


def add_sites(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.add_workers(1, **places(cluster.folder / name), DT_SITE=name)


def replace_by_dying(cluster: Cluster, site: str, dies_in: str) -> None:
    """Start a site's worker anew, one that will end in a task."""
    stop_site(cluster, site)
    name = f"dying{len(cluster.groups)}"
    environment = cluster.environment | places(cluster.folder / site) | {"DT_SITE": site, VARIABLE: dies_in}
    log = log_to(cluster.folder / f"{name}.log")
    group = WorkerProcesses([name], environment, log, app="tests.integration.dying_worker")
    cluster.groups.append(group)
    group.wait_until_ready(cluster.client)


def stop_site(cluster: Cluster, site: str) -> None:
    """End a site's worker, if it lives."""
    from tests.integration.test_sites import group_of

    try:
        group_of(cluster, site).stop(grace_s=10)
    except StopIteration:
        pass


def test_the_model_is_that_of_a_plain_run_and_no_update_was_readable(apart: Cluster) -> None:
    for run, options in (("plain", PLAIN), ("secure", SECURE)):
        done = apart.train("--run", run, "--epochs", "1", *options)
        assert done.returncode == 0, done.stdout + done.stderr
    plain, secure = (load(*apart.weights(run, "weights-0001-*").values()) for run in ("plain", "secure"))
    differences = [np.abs(plain[name] - secure[name]).max() for name in plain]
    assert 0 < max(differences) < 1e-5
    rounds, clients = apart.table("secure", "rounds.csv"), apart.table("secure", "clients.csv")
    assert rounds["num_clients"].tolist() == rounds["num_scored"].tolist() == [3]
    assert (clients["update_norm"] == 0).all() if "update_norm" in clients else True
    assert clients["val_accuracy"].notna().all()
