"""Dead, stopped and slow workers, a Redis that goes away, a killed orchestrator: what a round makes of it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from helpers.cluster.connection import connect
from helpers.cluster.heartbeat import live_workers
from helpers.cluster.job_board import ENDED
from helpers.cluster.versions import CODE, ROOT
from helpers.launcher.child_processes import start_apart
from helpers.launcher.embedded_redis import find_binary, start_server
from helpers.launcher.worker_processes import worker_command
from helpers.settings.errors import DIVERGED
from tests.integration.conftest import Cluster, is_running

SLOW = ["--train-batch-size", "1", "--epochs", "2"]
"""A round of about a second, so that there is time to disturb it."""


@pytest.fixture(autouse=True)
def _three_workers(cluster: Cluster) -> None:
    cluster.have_workers(3)


@pytest.fixture(scope="module")
def calm(cluster: Cluster) -> dict[str, bytes]:
    """The weights that an undisturbed run of SLOW ends with."""
    cluster.have_workers(3)
    done = cluster.train("--run", "calm", *SLOW)
    assert done.returncode == 0, done.stderr
    return cluster.weights("calm")


def finish(process: subprocess.Popen[str], timeout_s: float = 240) -> tuple[int, str]:
    """Wait for a training command; returns its status and all it printed."""
    output, errors = process.communicate(timeout=timeout_s)
    return process.returncode, output + errors


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    """Wait until a training command prints these words."""
    assert process.stdout is not None
    assert any(words in line for line in process.stdout), f"ended without {words!r}"


def test_a_killed_worker_costs_time_and_no_bit(cluster: Cluster, calm: dict[str, bytes]) -> None:
    training = cluster.start_training("--run", "killed", *SLOW)
    name, pid = cluster.wait_for_task("train:1")
    os.kill(pid, signal.SIGKILL)
    name_2, _ = cluster.wait_for_task("train:2")
    status, printed = finish(training)
    assert status == 0, printed
    assert f"worker {name} died; retrying on another worker" in printed
    assert name_2 != name
    assert cluster.weights("killed") == calm
    rows = cluster.table("killed", "clients.csv")
    assert sorted(rows.loc[rows["round"] == 1, "attempt"]) == [0, 0, 1]
    assert set(rows["status"]) == {"ok"}


@pytest.mark.long
def test_a_stopped_worker_counts_as_dead_and_serves_again_when_woken(
    cluster: Cluster, calm: dict[str, bytes]
) -> None:
    training = cluster.start_training("--run", "stopped", *SLOW[:-1], "2")
    name, pid = cluster.wait_for_task("train:1")
    os.kill(pid, signal.SIGSTOP)
    try:
        cluster.wait_for_task("train:2")
    finally:
        os.kill(pid, signal.SIGCONT)
    status, printed = finish(training)
    assert status == 0, printed
    assert f"worker {name} died" in printed
    assert cluster.weights("stopped") == calm
    again = cluster.train("--run", "woken", "--num-workers", "6", "--epochs", "2", "--train-batch-size", "1")
    assert again.returncode == 0
    assert name in set(cluster.table("woken", "clients.csv")["worker"])
    assert len(cluster.table("stopped", "clients.csv")) == 6


@pytest.mark.long
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_whoever_aggregates_may_die_too(cluster: Cluster, calm: dict[str, bytes], blow: int) -> None:
    run = f"aggregate-{blow.name}"
    training = cluster.start_training("--run", run, *SLOW)
    _, pid = cluster.wait_for_task("aggregate:1")
    os.kill(pid, blow)
    status, printed = finish(training)
    if blow == signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)
    assert status == 0, printed
    assert cluster.weights(run) == calm
    state = json.loads((cluster.folder / "models" / run / "state.json").read_text())
    assert state["state"]["round"] == 2


TOO_LONG = ["--epochs", "1", "--local-epochs", "1000", "--num-workers", "1", "--min-clients", "1"]
TOO_LONG += ["--round-deadline-s", "25"]
"""A training of many minutes, cut by a deadline that leaves a new worker on a busy machine time to begin."""


def test_a_slow_client_counts_with_what_it_saw(cluster: Cluster) -> None:
    done = cluster.train("--run", "partial", *SLOW, *TOO_LONG)
    assert done.returncode == 0, done.stderr
    rows = cluster.table("partial", "clients.csv")
    assert set(rows["status"]) == {"partial"}
    assert done.stdout.count("stopped early and counts with") == len(rows)
    assert rows["num_examples"].between(1, 566 * 1000 - 1).all()
    rounds = cluster.table("partial", "rounds.csv")
    assert rounds["num_examples"].tolist() == rows["num_examples"].tolist()


@pytest.mark.long
def test_too_few_clients_at_the_deadline_stop_the_run(cluster: Cluster) -> None:
    done = cluster.train("--run", "quorum", *SLOW, *TOO_LONG, "--partial-updates", "false")
    assert done.returncode == 3
    assert "0 of 1 clients replied, MIN_CLIENTS needs 1" in done.stderr
    assert "no reply within" in done.stderr or "batches before the deadline" in done.stderr
    assert "--resume quorum" in done.stderr


def test_without_a_worker_it_says_so_and_gives_up(cluster: Cluster) -> None:
    elsewhere = cluster.environment | {"REDIS_URL": cluster.server.url.replace("/0", "/1")}
    command = [sys.executable, "distributed_training_index.py", "--run", "alone", "--input-shape", "16,16"]
    done = subprocess.run(
        [*command, "--worker-timeout-s", "3"],
        cwd=ROOT, env=elsewhere, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 3
    assert "no live worker" in done.stdout
    assert "celery --app=celery_app worker" in done.stdout
    assert "no live worker for 3 s" in done.stderr
    assert "--resume" not in done.stderr  # nothing to resume


def test_redis_killed_and_restarted_within_a_round(cluster: Cluster, calm: dict[str, bytes]) -> None:
    training = cluster.start_training("--run", "restart", *SLOW)
    cluster.wait_for_task("train:1")
    time.sleep(1.1)  # the append-only file reaches the disk every second
    with cluster.redis_away():
        wait_for_line(training, "does not answer")
    status, printed = finish(training)
    assert status == 0, printed
    assert cluster.weights("restart") == calm


def test_a_redis_that_stays_away_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    with start_server(find_binary(), tmp_path / "redis") as server:
        environment = cluster.environment | {"REDIS_URL": server.url}
        command = [sys.executable, "distributed_training_index.py", "--run", "away", "--input-shape", "16,16"]
        training = subprocess.Popen(
            [*command, "--worker-timeout-s", "15"],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for_line(training, "no live worker")
    status, printed = finish(training)
    assert status == 3
    assert "did not answer for 15 s" in printed


@pytest.mark.long
def test_a_run_whose_redis_stayed_away_is_resumed_when_it_is_back(
    cluster: Cluster, calm: dict[str, bytes]
) -> None:
    training = cluster.start_training("--run", "back", *SLOW, "--worker-timeout-s", "3")
    cluster.wait_for_task("train:2")
    with cluster.redis_away():
        status, printed = finish(training)
    assert status == 3, printed
    assert "did not answer for 3 s" in printed
    assert "--resume back" in printed
    resumed = cluster.train("--resume", "back")
    assert resumed.returncode == 0, resumed.stderr
    assert cluster.weights("back") == calm


def rows_without_times(cluster: Cluster, run: str, name: str) -> pd.DataFrame:
    table = cluster.table(run, name)
    table = table.drop(columns=[c for c in table.columns if c in TIMES]).reset_index(drop=True)
    return table.drop(columns=["worker", "attempt"], errors="ignore")


TIMES = ("seconds", "started_at", "transfer_seconds", "aggregation_started_at")


@pytest.mark.parametrize(
    "job",
    [
        "aggregate:3",
        pytest.param("train:3", marks=pytest.mark.long),
        pytest.param("train:1", marks=pytest.mark.long),
        pytest.param("finish", marks=pytest.mark.long),
    ],
)
def test_a_killed_orchestrator_is_resumed_to_the_digit(cluster: Cluster, job: str) -> None:
    if not (cluster.folder / "models/whole").exists():
        assert cluster.train("--run", "whole", "--epochs", "4", "--train-batch-size", "2").returncode == 0
    run = f"resumed-{job.replace(':', '-')}"
    training = cluster.start_training("--run", run, "--epochs", "4", "--train-batch-size", "2")
    cluster.wait_for_task(job)
    training.kill()
    finish(training)
    resumed = cluster.train("--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("rounds.csv", "clients.csv", "test.csv"):
        pd.testing.assert_frame_equal(
            rows_without_times(cluster, run, name), rows_without_times(cluster, "whole", name)
        )
    assert cluster.weights(run) == cluster.weights("whole")
    best, expected = (
        json.loads((cluster.folder / "models" / name / "best.json").read_text()) for name in (run, "whole")
    )
    assert best | {"run": ""} == expected | {"run": ""}


def test_only_the_same_run_is_resumed(cluster: Cluster) -> None:
    assert cluster.train("--run", "config", "--epochs", "1").returncode == 0
    refused = cluster.train("--resume", "config", "--base-lr", "0.5", "--epochs", "2")
    assert refused.returncode == 2
    assert "BASE_LR was 0.001, is 0.5" in refused.stderr
    assert "EPOCHS was 1, is 2" in refused.stderr
    assert "--force" in refused.stderr
    forced = cluster.train("--resume", "config", "--epochs", "2", "--force")
    assert forced.returncode == 0, forced.stderr
    assert cluster.table("config", "rounds.csv")["round"].tolist() == [1, 2]
    state = cluster.folder / "models/config/state.json"
    state.write_text(state.read_text().replace('"data_digest": "', '"data_digest": "0'))
    refused = cluster.train("--resume", "config")
    assert refused.returncode == 2
    assert "prepared images differ" in refused.stderr
    assert cluster.train("--resume", "never-was").returncode == 2


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_keeps_the_finished_rounds(cluster: Cluster, times: int) -> None:
    run = f"interrupted-{times}"
    training = cluster.start_training("--run", run, *SLOW[:-1], "50", "--num-workers", "1")
    cluster.wait_for_task("train:2")
    for number in range(times):
        if number:  # two signals at once would be one
            wait_for_line(training, "press Ctrl-C again")
        training.send_signal(signal.SIGINT)
    status, printed = finish(training)
    assert status == 130
    assert f"--resume {run}" in printed
    assert "Traceback" not in printed
    rounds = cluster.table(run, "rounds.csv")["round"].tolist()
    assert rounds == [1, 2] if times == 1 else rounds == [1]
    assert not is_running(training.pid)
    assert cluster.client.get(f"dt:run:{run}:session") == ENDED
    page = (cluster.folder / "metrics" / run / "report.html").read_text()
    assert f"<strong>Stopped</strong> after {times % 2 + 1} of 50 rounds" in page
    assert 'http-equiv="refresh"' not in page


def test_a_spoiled_update_fails_its_client_and_the_others_count(cluster: Cluster) -> None:
    options = ("--num-workers", "6", "--epochs", "1", "--train-batch-size", "1")
    training = cluster.start_training("--run", "spoiled", *options)
    client, key = cluster.client, None
    while key is None:
        found = client.scan_iter("dt:run:spoiled:*:update:1:*")
        key = next((name for name in found if b":unfinished:" not in name), None)
    part = client.hget(key, "0")
    client.hset(key, "0", part[:-40] + b"\xff" * 16 + part[-24:])
    status, printed = finish(training)
    assert status == 0, printed
    rows = cluster.table("spoiled", "clients.csv").set_index("client")
    spoiled = int(key.decode().split(":")[-2])
    assert rows.loc[spoiled, "status"] == "failed"
    assert "sha256 differs" in rows.loc[spoiled, "error"]
    assert (rows.drop(spoiled)["status"] == "ok").all()
    assert "sha256 differs" in printed
    assert cluster.table("spoiled", "rounds.csv")["num_clients"].tolist() == [5]


def test_clients_report_the_norm_to_which_others_are_compared(cluster: Cluster) -> None:
    done = cluster.train(
        "--run", "norms", "--epochs", "1", "--num-workers", "3", "--max-update-ratio", "0.01"
    )
    assert done.returncode == 3
    assert done.stderr.count("MAX_UPDATE_RATIO=0.01 times the median of the round") >= 3
    assert "Traceback" not in done.stderr


def test_a_worker_with_other_data_is_refused_and_its_part_done_elsewhere(
    cluster: Cluster, tmp_path: Path
) -> None:
    command = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "16,16"]
    other = cluster.environment | {"DT_PREPROCESSED_DIR": str(tmp_path)}
    subprocess.run([*command, "--seed", "9"], cwd=ROOT, env=other, check=True, capture_output=True)
    (name,) = cluster.add_workers(1, DT_PREPROCESSED_DIR=str(tmp_path), DT_THREADS="2")
    pid = cluster.pids()[name]
    try:
        done = cluster.train(
            "--run", "other-data", "--num-workers", "8", "--epochs", "2", "--train-batch-size", "4"
        )
    finally:
        os.kill(pid, signal.SIGTERM)
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert printed.count(f"threads 2 on {name}") == 1
    description = json.loads((cluster.folder / "metrics/other-data/run.json").read_text())
    assert description["workers"][name]["threads"] == "2"
    assert printed.count(f"{name} cannot serve this run and gets no more of its jobs") == 1
    assert f"manifest.json on {name} differs" in printed
    rows = cluster.table("other-data", "clients.csv")
    assert set(rows["status"]) == {"ok"}
    assert name not in set(rows["worker"])
    log = next(cluster.folder.glob(f"{name.partition('@')[0]}.log")).read_text()
    assert len(re.findall(r"failed: DataDiffersError: .*manifest.json on .* differs", log)) == 1
    assert "Traceback" not in log
    assert "Traceback" not in done.stdout + done.stderr


def test_a_worker_of_another_checkout_leaves_the_run_to_others(cluster: Cluster, tmp_path: Path) -> None:
    for part in CODE:
        copy = shutil.copyfile if (ROOT / part).is_file() else shutil.copytree
        copy(ROOT / part, tmp_path / part)
    with their_worker("elsewhere", tmp_path, cluster.environment):
        done = cluster.train("--run", "checkouts", "--num-workers", "8", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "elsewhere" not in " ".join(cluster.table("checkouts", "clients.csv")["worker"])
    assert done.stdout.count("cannot serve this run") <= 1
    assert (tmp_path / "log").read_text().count("failed: OtherCheckout") == 1
    assert f"  {cluster.folder}/models/checkouts/best.keras" in done.stdout


def test_a_namespace_keeps_two_projects_on_one_redis_apart(cluster: Cluster, tmp_path: Path) -> None:
    folders = {name: str(tmp_path / name) for name in ("DT_METRICS_DIR", "DT_MODELS_DIR")}
    environment = cluster.environment | folders | {"DT_NAMESPACE": "theirs"}
    site = environment | {"DT_SITE": "north"}
    environment |= {"DT_WEIGHT_STORE": (tmp_path / "weights").as_uri()}  # as in `run.py up`
    with (
        their_worker("theirs", ROOT, environment, tmp_path / "log"),
        their_worker("theirs-north", ROOT, site, tmp_path / "log-north"),
    ):
        doctor = subprocess.run([sys.executable, "run.py", "doctor"], cwd=ROOT, env=environment,
                                capture_output=True, text=True)  # fmt: skip
        their_cluster = replace(cluster, environment=environment)
        sites = ("--data-at", "sites", "--min-clients", "1")
        training = their_cluster.start_training("--run", "theirs", *sites, "--epochs", "2")
        done = cluster.train("--run", "ours", "--num-workers", "2", "--epochs", "2")
        status, printed = finish(training)
    assert (done.returncode, status) == (0, 0), done.stderr + printed
    workers = set(pd.read_csv(tmp_path / "DT_METRICS_DIR/theirs/clients.csv")["worker"])
    assert workers == {f"north/theirs-north@{socket.gethostname()}"}
    assert not workers & set(cluster.table("ours", "clients.csv")["worker"])
    assert re.search(r"workers +ok +north/theirs-north@\S+, theirs@\S+$", doctor.stdout, re.MULTILINE), (
        doctor.stdout
    )
    keys = [key.decode() for key in cluster.client.scan_iter("*", count=1000)]
    assert any(key.startswith("theirs:") for key in keys)
    assert not [key for key in keys if "theirs" in key and not key.startswith("theirs:")]


@contextmanager
def their_worker(
    name: str, folder: Path, environment: dict[str, str], log: Path | None = None
) -> Iterator[None]:
    """A worker that runs in a folder. Its heartbeat outlives it, so that each test takes another name."""
    command = [*worker_command(name), f"--logfile={log or folder / 'log'}"]
    worker = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    client = connect(environment["REDIS_URL"])
    prefix = f"{environment['DT_NAMESPACE']}:" if "DT_NAMESPACE" in environment else ""
    site = f"{environment['DT_SITE']}/" if "DT_SITE" in environment else ""
    heartbeat = f"{prefix}dt:worker:{site}{name}@{socket.gethostname()}"
    try:
        wait_until(lambda: b'"ready": true' in (client.get(heartbeat) or b""))
        yield
    finally:
        worker.kill()
        worker.wait()


def test_a_task_that_fails_everywhere_ends_the_run_with_one_line(cluster: Cluster) -> None:
    (cluster.folder / "models").mkdir(exist_ok=True)
    blocked = cluster.folder / "models/blocked"
    blocked.write_text("in the way")
    done = cluster.train("--run", "blocked", "--overwrite")
    assert done.returncode == 3
    assert re.search(r"error: start of run \S+: failed twice; .*RecordError", done.stderr)
    assert "Traceback" not in done.stderr
    assert blocked.read_text() == "in the way"


def test_a_training_that_diverges_says_so(cluster: Cluster) -> None:
    wild = ("--optimizer", "sgd", "--base-lr", "10", "--momentum", "0.999", "--local-epochs", "10")
    done = cluster.train("--run", "wild", *wild, "--train-batch-size", "4")
    assert done.returncode == 3
    assert f"FloatingPointError: {DIVERGED}: its" in done.stderr
    assert "lower BASE_LR" in done.stderr


def test_early_stopping(cluster: Cluster) -> None:
    done = cluster.train("--run", "patience", "--epochs", "40", "--patience", "2")
    assert done.returncode == 0, done.stderr
    rounds = cluster.table("patience", "rounds.csv")
    best = rounds.loc[rounds["roc_auc"].idxmax(), "round"]
    assert len(rounds) == best + 2 < 40
    assert "stopped early" in done.stdout
    provenance = json.loads((cluster.folder / "models/patience/best.json").read_text())
    assert provenance["round"] == best
    assert provenance["value"] == rounds["roc_auc"].max()
    assert provenance["settings"]["PATIENCE"] == 2
    assert {"code", "tensorflow", "keras", "numpy"} <= provenance["versions"].keys()


def test_redis_does_not_grow(cluster: Cluster) -> None:
    assert cluster.train("--run", "grow-first", "--epochs", "2").returncode == 0
    used = {}
    for rounds in (2, 10):
        assert cluster.train("--run", f"grow-{rounds}", "--epochs", str(rounds)).returncode == 0
        used[rounds] = cluster.client.info("memory")["used_memory"]
    assert used[10] <= 1.1 * used[2]


@pytest.mark.long
def test_a_dead_workers_name_is_free_after_its_heartbeat_lapses(cluster: Cluster) -> None:
    name, pid = next(iter(cluster.pids().items()))
    command = [sys.executable, "-m", "celery", "--app=celery_app", "worker", f"--hostname={name}"]
    refused = subprocess.run(
        command, cwd=ROOT, env=cluster.environment, capture_output=True, text=True, timeout=60
    )
    assert refused.returncode != 0
    assert f"the name {name} is held by a live worker (process {pid}" in refused.stderr
    os.kill(pid, signal.SIGKILL)
    while name in live_workers(cluster.client):
        time.sleep(0.2)
    taken = start_apart(command, subprocess.DEVNULL, cluster.environment)
    try:
        wait_until(lambda: cluster.pids().get(name) == taken.pid)
    finally:
        taken.terminate()
        taken.wait(30)


def wait_until(holds: Callable[[], bool], timeout_s: float = 180) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
