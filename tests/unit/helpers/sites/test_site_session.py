"""A site's worker: orders that its rules refuse do not run, and every order is recorded."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from commands import leave
from helpers.cluster.versions import versions_here
from helpers.cluster.worker_session import WorkerSession
from helpers.federated.messages import Order
from helpers.federated.sites.messages import ScoreOrder, SiteTrainOrder
from helpers.federated.sites.secure_messages import KeysOrder
from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.sites.policy import OrderRefused
from helpers.sites.site_session import LEAVE, SiteSession

SITE = {
    "name": "north",
    "classes": ["non-cancerous", "cancerous"],
    "input_shape": [128, 128, 3],
    "train": [10, 10],
}


class Board:
    """A job board that expects everything and keeps what it receives."""

    answers: list[Any] = []
    failures: list[str] = []

    def __init__(self, *of: Any, site: str) -> None:
        type(self).answers, type(self).failures = [], []

    def expects(self, job: str, attempt: int) -> bool:
        return True

    def answer(self, job: str, attempt: int, message: Any) -> bool:
        type(self).answers.append(message)
        return True

    def fail(self, job: str, attempt: int, worker: str, error: str, *, is_unable: bool = False) -> None:
        type(self).failures.append(error)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteSession:
    return start(tmp_path, monkeypatch)


def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str = "") -> SiteSession:
    (tmp_path / "north").mkdir()
    (tmp_path / "north/site.toml").write_text(policy)
    monkeypatch.setattr("helpers.sites.site_session.Mailbox", Board)
    monkeypatch.setattr("helpers.cluster.heartbeat.Heartbeat._renew", lambda self: None)
    config = Config(SITE="north", SITE_DIR=tmp_path, REDIS_URL="redis://127.0.0.1:1/0")
    return SiteSession("north@here", config, SITE)


def order(**other: Any) -> dict[str, Any]:
    facts = {"run": "r", "session": "s", "settings": {}, "data_digest": "", "versions": versions_here()}
    fields = {"attempt": 0, "round": 1, "client": 0, "split": "val", "weights": {}, "threshold": 0.5}
    return ScoreOrder(**{**facts, **fields, "site": "north", "origin": "hub:/x", **other}).to_message()


def test_an_order_is_recorded_with_what_leaves(session: SiteSession) -> None:
    def work(order: Order) -> dict[str, Any]:
        session.store._store.put = lambda key, data: None
        session.store.put("key", [b"12345"])
        return {"a": 1}

    assert session.run_order(ScoreOrder, order(), work) == {"a": 1}
    (entry,) = session.audit.entries()
    assert (entry["sender"], entry["run"], entry["job"]) == ("hub:/x", "r", "score-val:1:0")
    assert (entry["decision"], entry["bytes_out"]) == ("done", 5 + len('{"a": 1}'))
    assert len(entry["settings"]) == 12


def test_a_refused_order_does_not_run(session: SiteSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(order: Order) -> None:
        raise OrderRefused("not here")

    monkeypatch.setattr(session, "check", refuse)
    assert session.run_order(ScoreOrder, order(), lambda order: pytest.fail("it ran")) is None
    assert Board.failures == ["OrderRefused: not here"]
    assert [entry["decision"] for entry in session.audit.entries()] == ["refused: not here"]


def test_a_failure_is_recorded_although_redis_is_away(
    session: SiteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(Board, "fail", away)
    with pytest.raises(redis.ConnectionError):
        session.run_order(ScoreOrder, order(), lambda order: {"a": 1 / 0})
    assert [entry["decision"] for entry in session.audit.entries()] == ["failed: division by zero"]


def test_an_order_that_is_no_longer_wanted_is_recorded_too(
    session: SiteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Board, "expects", lambda *_: False)
    assert session.run_order(ScoreOrder, order(), lambda order: pytest.fail("it ran")) is None
    assert [entry["decision"] for entry in session.audit.entries()] == ["refused: no longer wanted"]


@pytest.mark.parametrize("wrong", [{"site": "south"}, {"versions": {"code": "other"}}])
def test_an_order_that_every_worker_refuses_is_recorded_too(session: SiteSession, wrong: Any) -> None:
    assert session.run_order(ScoreOrder, order(**wrong), lambda order: pytest.fail("it ran")) is None
    (entry,) = session.audit.entries()
    assert entry["decision"].startswith("refused: ")
    assert entry["bytes_out"] == 0


def test_an_order_that_failed_at_work_is_recorded_as_such(session: SiteSession) -> None:
    assert session.run_order(ScoreOrder, order(), lambda order: {"a": 1 / 0}) is None
    assert [entry["decision"] for entry in session.audit.entries()] == ["failed: division by zero"]
    assert Board.failures == ["ZeroDivisionError: division by zero"]


def test_a_disk_without_room_for_the_audit_log_fails_the_order_with_the_reason(
    session: SiteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(entry: dict[str, Any]) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(session.audit, "append", full)
    assert session.run_order(ScoreOrder, order(), lambda order: {}) is None
    assert Board.failures == ["OSError: No space left on device"]


def test_only_so_many_orders_an_hour_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = start(tmp_path, monkeypatch, "orders_per_hour = 2")
    session.run_order(ScoreOrder, order(site="south"), lambda order: {})  # refused ones do not count
    answers = [session.run_order(ScoreOrder, order(round=number), lambda order: {}) for number in range(4)]
    assert answers == [{}, {}, None, None]
    assert Board.failures == ["OrderRefused: 2 orders in the past hour: site.toml has orders_per_hour = 2"]
    again = SiteSession("north@here", Config(SITE="north", SITE_DIR=tmp_path), SITE)  # a restart forgets none
    assert again.run_order(ScoreOrder, order(), lambda order: {}) is None


def test_steps_of_secure_aggregation_run_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start(tmp_path, monkeypatch, "orders_per_hour = 1")
    assert session.run_order(ScoreOrder, order(), lambda order: {}) == {}
    step = {
        name: value
        for name, value in order().items()
        if name not in ("split", "weights", "threshold", "task")
    }
    assert session.run_order(KeysOrder, step, lambda order: {"a": 1}) == {"a": 1}


def test_a_run_waits_for_approval_where_the_policy_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start(tmp_path, monkeypatch, "needs_approval = true")
    assert session.run_order(ScoreOrder, order(), lambda order: {}) is None
    assert session.approvals.waiting() == ["r"]
    session.approvals.approve("r", {})
    assert session.run_order(ScoreOrder, order(), lambda order: {"a": 1}) == {"a": 1}


def test_a_site_that_leaves_says_so_and_stops_its_training(
    session: SiteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(session.client, "set", lambda key, value, ex: said.append(key))
    as_order = ScoreOrder.from_message(order())

    def work(order: Order) -> dict[str, Any]:
        assert session.still_expects(as_order)
        session.leave()
        assert not session.still_expects(as_order)
        raise ValueError("stopped early")

    assert session.run_order(ScoreOrder, order(), work) is None
    assert said == ["dt:site:north:left"]
    assert Board.failures == ["SiteLeft: the site leaves"]


def test_the_leave_command_ends_the_process_as_a_signal_does(
    tmp_path: Path, session: SiteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[int] = []
    monkeypatch.setattr("helpers.sites.site_session.signal.raise_signal", raised.append)
    assert leave.main(["--site", "north", "--site-dir", str(tmp_path)]) == 0
    session._wait_for_leave()
    assert raised == [signal.SIGTERM]


def test_a_site_that_is_not_here_cannot_leave(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SITE=nroth: no worker of this site has run here"):
        leave.main(["--site", "nroth", "--site-dir", str(tmp_path)])
    assert not (tmp_path / "nroth").exists()


def test_a_leave_while_the_worker_waits_for_redis_is_not_lost(
    session: SiteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[int] = []
    monkeypatch.setattr("helpers.sites.site_session.signal.raise_signal", raised.append)
    monkeypatch.setattr(session.client, "delete", lambda key: None)
    request = session._folder / LEAVE
    request.touch()  # of an earlier worker

    def wait_for_redis(self: WorkerSession) -> None:
        assert not request.exists()
        request.touch()

    monkeypatch.setattr(WorkerSession, "begin", wait_for_redis)
    session.begin()
    deadline = time.monotonic() + 10
    while not raised:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert request.exists()


def test_the_privacy_that_a_training_spends_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start(tmp_path, monkeypatch, "max_epsilon = 2.4")
    settings = {"DP": "example", "DP_TARGET_EPSILON": 2.0, "ARCHITECTURE": "seed_cnn_groupnorm", "EPOCHS": 1}
    facts = {name: value for name, value in order().items() if name in {"session", "data_digest", "versions"}}
    own = {"clients": [0], "weights": {}, "sent_at": 0.0, "num_clients": 1, "client": 0, "round": 1}
    for run in ("a", "b"):
        training = SiteTrainOrder(run=run, settings=settings, attempt=0, **facts, **own, site="north")
        session.run_order(SiteTrainOrder, training.to_message(), lambda order: {})
    first, second = session.audit.entries()
    assert 1.9 < float(first["epsilon"]) <= 2
    assert "site.toml has max_epsilon = 2.4" in second["decision"]
    assert "epsilon" not in second


def test_the_policy_judges_trainings_that_stop_early(session: SiteSession) -> None:
    session.check_early_stop(20)
    with pytest.raises(OrderRefused, match="stopped after 19 of 20 images"):
        session.check_early_stop(19)


def test_an_order_that_cannot_be_read_is_recorded(session: SiteSession) -> None:
    assert session.run_order(ScoreOrder, {"run": "r"}, lambda order: pytest.fail("it ran")) is None
    (entry,) = session.audit.entries()
    assert entry["decision"].startswith("refused: not understood: ScoreOrder")
