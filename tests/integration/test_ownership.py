"""Who may change a run: workers stopped in a commit that wake, lost sessions, second orchestrators."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.cluster.heartbeat import LIFETIME_S, live_workers
from helpers.cluster.job_board import ENDED
from helpers.cluster.versions import ROOT
from tests.integration.conftest import Cluster, running_cluster, write_images

STOP_IN_COMMIT = """
import json, os, signal, sys
ORDER = {order!r}

def stop(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("state.json") and os.path.exists(ORDER):
        with open(arguments[0]) as file, open(ORDER) as order:
            if json.load(file)["state"]["round"] != int(order.read()):
                return
        os.rename(ORDER, ORDER + "-taken")
        with open(ORDER + "-pid.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(ORDER + "-pid.new", ORDER + "-pid")
        os.kill(os.getpid(), signal.SIGSTOP)

sys.addaudithook(stop)
"""
"""Stops a worker at the last instruction before it writes state.json, if a file asks for that."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, the first of which stops in the commit of the round that the file `stop` names."""
    folder = tmp_path_factory.mktemp("pair")
    write_images(folder / "images", 300)
    (folder / "sitecustomize.py").write_text(STOP_IN_COMMIT.format(order=str(folder / "stop")))
    with running_cluster(folder, num_workers=2) as cluster:
        prepare = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "16,16"]
        subprocess.run(prepare, cwd=ROOT, env=cluster.environment, check=True, capture_output=True)
        cluster.add_workers(2, PYTHONPATH=str(folder))
        yield cluster


@pytest.fixture(scope="module")
def calm(pair: Cluster) -> dict[str, bytes]:
    """The weights of an undisturbed run."""
    done = pair.train("--run", "calm", *FOUR_ROUNDS)
    assert done.returncode == 0, done.stderr
    return pair.weights("calm")


FOUR_ROUNDS = ["--epochs", "4", "--num-workers", "2", "--train-batch-size", "4"]
LONG = ["--epochs", "300", "--num-workers", "2", "--train-batch-size", "2"]


def finish(process: subprocess.Popen[str], timeout_s: float = 240) -> tuple[int, str]:
    output, errors = process.communicate(timeout=timeout_s)
    return process.returncode, output + errors


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + 180
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} did not appear"
        time.sleep(0.02)
    return file.read_text()


def files_of(cluster: Cluster, run: str) -> dict[str, bytes]:
    folders = [cluster.folder / name / run for name in ("models", "metrics")]
    return {f"{f.parent.name}/{p.name}": p.read_bytes() for f in folders for p in f.iterdir() if p.is_file()}


@pytest.mark.parametrize(
    "round_number", [pytest.param(0, id="start", marks=pytest.mark.long), pytest.param(2, id="aggregation")]
)
def test_a_worker_stopped_in_a_commit_changes_nothing_when_it_wakes(
    pair: Cluster, calm: dict[str, bytes], round_number: int
) -> None:
    run = f"stopped-{round_number}"
    (pair.folder / "stop").write_text(str(round_number))
    training = pair.start_training("--run", run, *FOUR_ROUNDS)
    pid = int(wait_for(pair.folder / "stop-pid"))
    (pair.folder / "stop-pid").unlink()
    try:
        status, printed = finish(training)
        before = files_of(pair, run)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert status == 0, printed
    deadline = time.monotonic() + 180
    while not any(s["pid"] == pid and s["task"] is None for s in live_workers(pair.client).values()):
        assert time.monotonic() < deadline, "the worker did not come back"
        time.sleep(0.1)
    while not any(f"run {run} was taken over" in file.read_text() for file in pair.folder.glob("*.log")):
        assert time.monotonic() < deadline, "the worker did not say so"  # a thread writes its log
        time.sleep(0.1)
    assert files_of(pair, run) == before
    assert pair.weights(run) == calm


def test_a_run_whose_processes_were_all_stopped_for_a_while_goes_on(
    pair: Cluster, calm: dict[str, bytes]
) -> None:
    training = pair.start_training("--run", "asleep", *FOUR_ROUNDS)  # as by a laptop's lid, or by Ctrl-Z
    pair.wait_for_task("train:2")
    assert pair.server.process is not None
    pids = [training.pid, pair.server.process.pid]
    pids += [status["pid"] for status in live_workers(pair.client).values()]
    for sign in (signal.SIGSTOP, signal.SIGCONT):
        for pid in pids:
            os.kill(pid, sign)
        time.sleep(LIFETIME_S + 1 if sign == signal.SIGSTOP else 0)
    status, printed = finish(training)
    assert status == 0, printed
    assert "retrying" not in printed
    assert pair.weights("asleep") == calm


def test_a_redis_that_lost_everything_ends_no_run(pair: Cluster, calm: dict[str, bytes]) -> None:
    # Without --min-clients a round would go on with the client that had read the weights in time.
    training = pair.start_training("--run", "flushed", "--min-clients", "2", *FOUR_ROUNDS)
    pair.wait_for_task("train:2")
    pair.client.flushall()
    status, printed = finish(training)
    assert "Redis has lost the entries of this run" in printed
    if status:  # the weights were only there
        assert status == 3, printed
        assert "--resume flushed" in printed
        resumed = pair.train("--resume", "flushed")
        assert resumed.returncode == 0, resumed.stderr
    assert pair.weights("flushed") == calm


def test_a_run_in_training_is_refused_to_others_and_taken_over_by_force(pair: Cluster) -> None:
    first = pair.start_training("--run", "owned", *LONG)
    pair.wait_for_task("train:2")
    refused = pair.train("--run", "owned", "--overwrite", *LONG)
    assert refused.returncode == 2
    assert "another process is training it" in refused.stderr
    assert "--take-over" in refused.stderr
    second = pair.start_training("--resume", "owned", "--take-over")
    status, printed = finish(first)
    assert status == 3
    assert "another process took over this run" in printed
    assert "to continue" not in printed
    pair.wait_for_task("train:")
    second.send_signal(signal.SIGINT)
    status, printed = finish(second)
    assert status == 130, printed
    state = json.loads((pair.folder / "models/owned/state.json").read_text())["state"]
    assert pair.table("owned", "rounds.csv")["round"].tolist() == list(range(1, state["round"] + 1))
    assert pair.client.get("dt:run:owned:session") == ENDED


@pytest.mark.long
def test_the_next_session_deletes_what_a_killed_one_left(pair: Cluster) -> None:
    training = pair.start_training("--run", "left", *FOUR_ROUNDS)
    pair.wait_for_task("train:2")
    training.kill()
    finish(training)
    deadline = time.monotonic() + 60
    while any(status["task"] for status in live_workers(pair.client).values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    left = {key.split(b":")[3] for key in pair.client.scan_iter("dt:run:left:*:weights:*")}
    assert len(left) == 1
    resumed = pair.train("--resume", "left", at_once=False)
    assert resumed.returncode == 0, resumed.stderr
    assert not list(pair.client.scan_iter(f"dt:run:left:{left.pop().decode()}:*"))
