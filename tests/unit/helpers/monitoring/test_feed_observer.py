"""What an observer writes to the feed of a run, and how a run is seen through it."""

from types import SimpleNamespace

import fakeredis
import pytest

from helpers.cluster import keys
from helpers.cluster.heartbeat import Heartbeat
from helpers.cluster.job_board import JobBoard
from helpers.cluster.run_feed import RunFeed
from helpers.monitoring.feed_observer import FeedObserver
from helpers.monitoring.run_view import RunView


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis()


def finish(observer: FeedObserver, round_number: int, auc: float) -> None:
    metrics = {"round": round_number, "train_loss": 0.5, "val_loss": None, "roc_auc": auc, "secret": "x"}
    observer.round_finished(SimpleNamespace(metrics=metrics, state={"best_round": 1}))


def test_the_view_of_a_run(client: fakeredis.FakeRedis) -> None:
    board = JobBoard(client, "r", "s")
    board.take_over(force=True)
    observer, view = FeedObserver(RunFeed(client, "r")), RunView(client, "r")
    observer.run_started("r", SimpleNamespace(round=0), 2)
    observer.round_started(1, [0, 1])
    board.expect({"train:1:0": 0, "train:1:1": 0, "aggregate:1": 0})
    worker = Heartbeat(client, "w1@host", {})
    worker.claim()
    worker.show_ready()
    with worker.working_on(run="r", job="train:1:1", attempt=0):
        worker.show_batch(3, 10)
        worker.show_ready()  # within a second, batches alone are not shown
        seen = view.look()
    assert (seen["run"], seen["state"], seen["open"]) == ("r", "running", 2)
    assert seen["workers"] == [
        {"name": "w1@host", "job": "train:1:1:0", "activity": "client 1", "batch": 3, "batches": 10}
    ]
    assert [entry["event"] for entry in seen["log"]] == ["started", "round_started"]

    finish(observer, 1, 0.75)
    observer.notice("a \x1b[31m" + "x" * 3000)
    finished, notice = view.look()["log"]
    del finished["time"]
    assert finished == {
        "event": "round", "round": 1, "train_loss": 0.5, "val_loss": None, "roc_auc": 0.75, "seconds": None,
        "is_best": True,
        "best_round": 1,
        "rounds": 2,
    }  # fmt: skip
    assert notice["text"].startswith(r"a \x1b[31mxxx")
    assert len(notice["text"]) == 2000
    with worker.working_on(run="other", job="train:9:9", attempt=0):
        seen = view.look()
    assert (seen["log"], seen["workers"][0]["activity"]) == ([], "another run")
    board.close()
    assert view.look()["state"] == "ended"


def test_the_view_of_a_run_without_a_sign_of_its_orchestrator(client: fakeredis.FakeRedis) -> None:
    JobBoard(client, "r", "s").take_over(force=True)
    client.pexpire(keys.session("r"), 1000 * (keys.LIFETIME_S - 60))
    seen = RunView(client, "r").look()
    assert (seen["state"], seen["silent_s"]) == ("silent", 60)
    assert RunView(client, "unknown").look()["state"] == "unknown"
