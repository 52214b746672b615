"""Sites whose updates are summed under masks: the same model, from sums alone, whoever drops out."""

import contextlib
import functools
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from safetensors.numpy import load

from helpers.cluster.versions import ROOT
from helpers.launcher.worker_processes import WorkerProcesses
from tests.integration.conftest import Cluster, log_to, places, running_cluster, write_images
from tests.integration.dying_worker import VARIABLE
from tests.integration.test_client_state import assert_same_runs
from tests.integration.test_sites import group_of

SITES = {"north": 90, "south": 60, "west": 60}
PLAIN = ("--data-at", "sites", "--min-clients", "2", "--worker-timeout-s", "4", "--base-lr", "1e-4")
SECURE = (*PLAIN, "--secure-aggregation", "true")


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
    with contextlib.suppress(StopIteration):
        group_of(cluster, site).stop(grace_s=10)


def model_of(cluster: Cluster, run: str) -> dict[str, np.ndarray]:
    """The global weights after the first round."""
    (content,) = cluster.weights(run, "weights-0001-*").values()
    return load(content)


def assert_alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Models equal up to the fixed-point steps of the moving statistics: m/2 · N/n · 1.9e-6."""
    assert max(np.abs(one[name] - other[name]).max() for name in one) < 6e-6


@pytest.fixture(scope="module")
def plain(apart: Cluster) -> Callable[[int], dict[str, np.ndarray]]:
    """A function that returns the model of a plain round of two or three sites."""

    @functools.cache
    def of(num_sites: int) -> dict[str, np.ndarray]:
        if num_sites == 2:
            stop_site(apart, "west")
        done = apart.train("--run", f"plain-{num_sites}", "--epochs", "1", *PLAIN)
        assert done.returncode == 0, done.stdout + done.stderr
        return model_of(apart, f"plain-{num_sites}")

    return of


def test_the_model_is_that_of_a_plain_run(
    apart: Cluster, plain: Callable[[int], dict[str, np.ndarray]]
) -> None:
    done = apart.train("--run", "secure", "--epochs", "1", *SECURE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_alike(model_of(apart, "secure"), plain(3))
    rounds, clients = apart.table("secure", "rounds.csv"), apart.table("secure", "clients.csv")
    assert rounds["num_clients"].tolist() == rounds["num_scored"].tolist() == [3]
    assert clients["site"].tolist() == [*SITES]
    assert (clients["status"] == "ok").all()
    assert clients["val_accuracy"].notna().all()  # from the counts that the sites sent


@pytest.mark.long
@pytest.mark.parametrize(
    ("step", "statuses"),
    [
        ("announce_keys", ["ok", "ok"]),
        ("share_secrets", ["ok", "ok"]),
        ("train_securely", ["ok", "ok", "failed"]),
        ("confirm_survivors", ["ok", "ok", "ok"]),
        ("reveal_shares", ["ok", "ok", "ok"]),
    ],
)
def test_a_site_that_dies_does_not_stop_the_round(
    apart: Cluster, plain: Callable[[int], dict[str, np.ndarray]], step: str, statuses: list[str]
) -> None:
    expected = plain(statuses.count("ok"))
    replace_by_dying(apart, "west", f"tasks.{step}:1")
    done = apart.train("--run", step, "--epochs", "1", *SECURE)
    add_sites(apart, "west")
    assert done.returncode == 0, done.stdout + done.stderr
    assert apart.table(step, "clients.csv")["status"].tolist() == statuses
    assert_alike(model_of(apart, step), expected)


@pytest.mark.long
def test_too_few_sites_end_the_run_and_it_resumes_to_the_same_bits(apart: Cluster) -> None:
    """With states, which the sites keep: their own batch normalization and optimizer."""
    options = ("--epochs", "2", "--batch-norm", "local", "--optimizer-state", "keep", *SECURE)
    whole = apart.train("--run", "whole", *options)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    for site in ("south", "west"):
        replace_by_dying(apart, site, "tasks.train_securely:2")
    ended = apart.train("--run", "ended", *options)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "no update of this round was revealed" in ended.stdout + ended.stderr
    assert len(apart.table("ended", "rounds.csv")) == 1
    assert not apart.weights("ended", "state-*")  # the sites keep their states
    add_sites(apart, "south", "west")
    done = apart.train("--resume", "ended")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_runs(apart, "ended", "whole")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--data-at", "shared"), "SECURE_AGGREGATION: received True with DATA_AT=shared"),
        (("--strategy", "median"), "STRATEGY: received 'median' with SECURE_AGGREGATION=true"),
    ],
)
def test_what_needs_single_updates_is_refused(apart: Cluster, options: tuple[str, ...], reason: str) -> None:
    refused = apart.train("--run", "unfit", *SECURE, *options)
    assert refused.returncode == 2
    assert reason in refused.stderr
