"""Living runs are those whose orchestrator has held them within the last seconds."""

import fakeredis
import pytest

from helpers.cluster import keys
from helpers.cluster.job_board import LEASE_S, JobBoard
from helpers.cluster.living_runs import holder_of, living_runs
from helpers.cluster.run_feed import RunFeed


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis()


def start(client: fakeredis.FakeRedis, run: str, began: int = 0) -> JobBoard:
    board = JobBoard(client, run, f"session-of-{run}")
    board.take_over(force=True)
    if began:
        client.xadd(keys.feed(run), {"entry": "{}"}, id=f"{began}-0")
    return board


def test_the_newest_is_first(client: fakeredis.FakeRedis) -> None:
    for run, began in (("a", 5), ("b", 9), ("c", 0)):
        start(client, run, began)
    assert living_runs(client) == ["b", "a", "c"]
    assert holder_of(client, "a").session == "session-of-a"


def test_ended_and_silent_runs_and_other_keys_do_not_live(client: fakeredis.FakeRedis) -> None:
    start(client, "ended").close()
    start(client, "silent")
    client.pexpire(keys.session("silent"), round(1000 * (keys.LIFETIME_S - LEASE_S - 1)))
    client.set(keys.session("<script>"), "x", ex=keys.LIFETIME_S)
    client.set(keys.session("a:b"), "x", ex=keys.LIFETIME_S)
    client.set(keys.session("without-end"), b"\xff")
    assert living_runs(client) == []
    assert holder_of(client, "ended").session == ""
    assert not holder_of(client, "silent").is_alive
    assert holder_of(client, "unknown") is None


def test_a_new_session_of_a_run_has_an_empty_feed(client: fakeredis.FakeRedis) -> None:
    start(client, "a", 5)
    start(client, "a")
    assert RunFeed(client, "a").read() == ([], "")


def test_a_request_to_stop_ends_with_the_session(client: fakeredis.FakeRedis) -> None:
    board = start(client, "a")
    assert not board.is_asked_to_stop()
    JobBoard(client, "a", "session-of-a").ask_to_stop()
    assert board.is_asked_to_stop()
    assert not start(client, "a").is_asked_to_stop()
    board.ask_to_stop()
    board.close()
    assert not board.is_asked_to_stop()


def test_open_jobs_are_those_without_an_answer(client: fakeredis.FakeRedis) -> None:
    board = start(client, "a")
    board.expect({"train:1:0": 0, "train:1:1": 0, "aggregate:1": 0})
    client.hset(keys.of_session("a", "session-of-a", "answers"), "train:1:0", "{}")
    assert sorted(board.open_jobs()) == ["aggregate:1", "train:1:1"]
