"""A run is watched and stopped from another process, through Redis alone."""

import re
import time

import pytest

import run
from commands.living_run import find_run
from helpers.cluster.run_feed import RunFeed
from helpers.global_config import Config
from helpers.monitoring.run_view import RunView
from tests.integration.conftest import Cluster


def test_a_run_ends_after_its_round_and_can_go_on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", cluster.server.url)
    training = cluster.start_training("--run", "asked", "--epochs", "500")
    cluster.wait_for_task("train:2")
    assert find_run(Config.load(), "")[1] == "asked"
    view, deadline, activities = RunView(cluster.client, "asked"), time.monotonic() + 120, []
    while not any(re.match("client [0-2]", activity) for activity in activities):
        assert time.monotonic() < deadline
        seen = view.look()
        activities = [worker.get("activity", "") for worker in seen["workers"]]
    assert seen["state"] == "running"
    assert run.call("stop", ["asked"]) == 0
    _, errors = training.communicate(timeout=240)
    assert training.returncode == 130
    assert "--resume asked" in errors
    assert RunView(cluster.client, "asked").look()["state"] == "ended"
    entries, _ = RunFeed(cluster.client, "asked").read()
    done = [entry for entry in entries if entry["event"] == "round"]
    assert [entry["round"] for entry in done] == cluster.table("asked", "rounds.csv")["round"].tolist()
    assert 0 < done[0]["roc_auc"] <= 1
    assert entries[-1]["text"] == "stopping after this round, as `run.py stop` asked"
    assert run.call("stop", ["asked"]) == 2
