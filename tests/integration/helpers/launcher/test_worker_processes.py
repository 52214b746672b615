"""Worker processes that become ready, die early or will not stop, and `up` with Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from helpers.cluster.connection import connect
from helpers.cluster.errors import NoWorkers, WorkerDied
from helpers.launcher import worker_processes
from helpers.launcher.embedded_redis import packaged_binary, start_server
from helpers.launcher.local_cluster import LocalCluster, log_files
from helpers.launcher.weight_folder import remove_left
from helpers.launcher.worker_processes import WorkerProcesses, worker_environment
from tests.integration.conftest import is_running

ROOT = Path(__file__).resolve().parents[4]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)"
STUBBORN += "; time.sleep(600)"


@pytest.fixture
def redis_url(tmp_path):
    with start_server(packaged_binary(), tmp_path / "redis") as server:
        yield server.url


@pytest.fixture
def stand_in(monkeypatch):
    """Let workers be a few lines of Python instead of Celery."""

    def use(code: str) -> None:
        monkeypatch.setattr(
            worker_processes, "worker_command", lambda name, app, options: [sys.executable, "-c", code]
        )

    return use


class Lines(list):
    """A sink that keeps what workers print."""

    def __call__(self, name: str, line: str) -> None:
        self.append((name, line))

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 120
        while len(self) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self) >= count


def test_cores_are_divided_among_the_workers(monkeypatch):
    monkeypatch.delenv("DT_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [worker_environment("redis://r", count)["DT_THREADS"] for count in (1, 3, 9)] == ["8", "2", "1"]
    monkeypatch.setenv("DT_THREADS", "5")
    assert worker_environment("redis://r", 2)["DT_THREADS"] == "5"
    assert worker_environment("redis://r", 2)["REDIS_URL"] == "redis://r"


def test_an_early_end_is_reported_with_what_it_printed_last(stand_in, redis_url):
    stand_in("import sys; print('no such module: celery_app'); sys.exit(7)")
    with (
        pytest.raises(WorkerDied, match=r"(?s)w1 ended with status 7.*no such module: celery_app"),
        WorkerProcesses(["w1"], dict(os.environ), Lines()) as workers,
    ):
        workers.wait_until_ready(connect(redis_url))


def test_a_worker_that_is_never_ready_is_named_and_stopped(stand_in, redis_url):
    stand_in("import time; print('up', flush=True); time.sleep(600)")
    with (
        pytest.raises(NoWorkers, match=r"w1, w2: not ready after 0\.5 s"),
        WorkerProcesses(["w1", "w2"], dict(os.environ), Lines()) as workers,
    ):
        workers.wait_until_ready(connect(redis_url), timeout_s=0.5)
    assert workers.all_ended()


def test_a_start_and_a_stop_that_take_a_while_are_announced(stand_in, redis_url, monkeypatch):
    monkeypatch.setattr(worker_processes, "SAY_EVERY_S", 0.3)
    monkeypatch.setattr(worker_processes, "STOP_QUIETLY_S", 0.1)
    stand_in(STUBBORN)
    said, lines = [], Lines()
    workers = WorkerProcesses(["w1", "w2"], dict(os.environ), lines, say=said.append)
    with pytest.raises(NoWorkers):
        workers.wait_until_ready(connect(redis_url), timeout_s=3)
    lines.wait_for(2)
    workers.stop(grace_s=3)
    assert (said[0], said[-1]) == ("Workers: 0 of 2 ready …", "Stopping the workers …")


def test_what_will_not_end_is_killed_with_its_children(stand_in):
    stand_in(f"import subprocess, sys\np = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n"
             f"print(p.pid, flush=True)\n{STUBBORN}")  # fmt: skip
    lines = Lines()
    workers = WorkerProcesses(["w1"], dict(os.environ), lines)
    lines.wait_for(3)
    child = next(int(line) for _, line in lines if line.isdigit())
    assert is_running(child)
    workers.stop(grace_s=0.3)
    assert workers.all_ended()
    deadline = time.monotonic() + 60
    while is_running(child) and time.monotonic() < deadline:  # until init has collected it
        time.sleep(0.05)
    assert not is_running(child)


def test_each_end_is_reported_once(stand_in):
    stand_in("print('bye')")
    with WorkerProcesses(["w1"], dict(os.environ), Lines()) as workers:
        while not workers.all_ended():
            time.sleep(0.02)
        assert len(workers.newly_ended()) == 1
        assert workers.newly_ended() == []


def test_a_command_is_stopped_when_every_worker_has_ended(stand_in, capfd):
    stand_in("print('out of memory')")
    with (
        WorkerProcesses(["w1"], dict(os.environ), Lines()) as workers,
        pytest.raises(WorkerDied, match="every worker has ended"),
    ):
        LocalCluster("redis://r", {}, workers).run(["-c", "import time; time.sleep(600)"])
    assert "out of memory" in capfd.readouterr().err


def test_a_command_passes_its_exit_status_on():
    assert LocalCluster("redis://r", {}, None).run(["-c", "raise SystemExit(5)"]) == 5


def test_the_output_of_a_command_can_be_received_line_by_line():
    lines = []
    program = "import os, sys; print(os.environ['REDIS_URL'], flush=True); sys.exit('error: no luck')"
    assert LocalCluster("redis://r", {}, None).run(["-c", program], lines.append) == 1
    assert lines == ["redis://r", "error: no luck"]


def test_ctrl_c_is_left_to_the_command():
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    # It is first watched when the handler of the interrupt is in place.
    code = "import functools\nfrom helpers.launcher.local_cluster import LocalCluster\n"
    code += "watch = functools.cache(lambda: print('watched', flush=True))\n"
    code += f"print('status', LocalCluster('redis://r', {{}}, None).run(['-c', {program!r}], watch=watch))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert {process.stdout.readline() for _ in range(2)} == {"ready\n", "watched\n"}
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=120)[0] == "status 9\n"


def test_logs_of_workers_are_new_files(tmp_path):
    (tmp_path / "demo1.log").write_text("of an earlier demo")
    (tmp_path / "demo2.log").write_text("of an earlier demo")
    write = log_files(tmp_path)
    write("demo1", "ready")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("demo1.log", "ready\n")]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (signal.SIGINT, 0),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_up_starts_ready_workers_and_a_signal_stops_everything(redis_url, sent, status):
    code = "import sys; from commands.up import up; sys.exit(up(2))"
    environment = {**os.environ, "REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1", "DT_WEIGHT_STORE": ""}
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        printed, how = [], ""
        for line in process.stdout:
            printed.append(line)
            how = line if "--hostname=worker3@%h" in line else how  # how to start one more
            if how and re.search(r"^worker1 \| .*ready", "".join(printed), re.MULTILINE):  # of a thread
                break
        assert process.poll() is None, "".join(printed)
        live = worker_processes.live_workers(connect(redis_url))
        assert sorted(name.partition("@")[0] for name in live) == ["worker1", "worker2"]
        (place,) = {status["weight_store"] for status in live.values()}
        assert f"DT_WEIGHT_STORE={place} " in how
        folder = Path(urlsplit(place).path)
        assert folder.is_dir()
        process.send_signal(sent)
        process.communicate(timeout=180)
    finally:
        process.terminate()
    assert process.returncode == status
    deadline = time.monotonic() + 120  # after SIGKILL, the workers end by themselves
    while any(is_running(status["pid"]) for status in live.values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    if sent == signal.SIGKILL:
        remove_left(folder.parent)
    assert not folder.exists()
    assert connect(redis_url).ping()  # we did not start it, so it stays
