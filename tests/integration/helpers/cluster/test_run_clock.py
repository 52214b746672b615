"""A run whose Redis' clock is set forward and back by hours."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.cluster.versions import ROOT
from helpers.launcher.embedded_redis import packaged_binary
from tests.integration import conftest
from tests.integration.conftest import running_cluster, write_images

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
SERVER = """#!/bin/sh
export LD_PRELOAD={faketime} FAKETIME_DONT_FAKE_MONOTONIC=1
export FAKETIME_TIMESTAMP_FILE={clock} FAKETIME_NO_CACHE=1
exec {server} "$@"
"""


@pytest.mark.long
@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime: apt-get install faketime")
def test_a_clock_set_by_two_hours_is_announced_and_costs_no_client_and_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, server = tmp_path / "clock", tmp_path / "server"
    clock.write_text("+0")
    server.write_text(SERVER.format(faketime=FAKETIME, clock=clock, server=packaged_binary()))
    server.chmod(0o755)
    monkeypatch.setattr(conftest, "find_binary", lambda: server)
    write_images(tmp_path / "images", 300)
    slow = ["--train-batch-size", "1", "--epochs", "2"]
    with running_cluster(tmp_path, num_workers=2) as cluster:
        prepare = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "16,16"]
        subprocess.run(prepare, cwd=ROOT, env=cluster.environment, check=True, capture_output=True)
        cluster.add_workers(2)
        assert cluster.train("--run", "calm", *slow).returncode == 0
        training = cluster.start_training("--run", "jumped", *slow)
        for round_number, step in ((1, "+2h"), (2, "-2h")):
            cluster.wait_for_task(f"train:{round_number}")
            (tmp_path / "next").write_text(step)
            (tmp_path / "next").replace(clock)
            assert abs(cluster.client.time()[0] - time.time()) > 7000
        printed, errors = training.communicate(timeout=240)
        assert training.returncode == 0, errors
        assert "the clock of Redis' machine jumped by +7200 s" in printed + errors
        assert "the clock of Redis' machine jumped by -14400 s" in printed + errors
        assert set(cluster.table("jumped", "clients.csv")["status"]) == {"ok"}
        assert cluster.weights("jumped") == cluster.weights("calm")
