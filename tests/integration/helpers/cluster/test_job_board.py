"""The job board on a real Redis: which answers count."""

from collections.abc import Iterator

import pytest
import redis

from helpers.cluster import keys
from helpers.cluster.connection import connect
from helpers.cluster.job_board import JobBoard
from helpers.launcher.embedded_redis import find_binary, start_server


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    with start_server(find_binary(), tmp_path_factory.mktemp("redis")) as server:
        yield connect(server.url)


@pytest.fixture
def board(client: redis.Redis) -> JobBoard:
    client.flushall()
    board = JobBoard(client, "run", "session")
    board.take_over()
    board.expect({"train:1:0": 0})
    return board


def test_the_first_answer_counts_and_the_second_has_no_effect(board: JobBoard) -> None:
    assert board.expects("train:1:0", 0)
    assert board.answer("train:1:0", 0, {"first": 1})
    assert not board.expects("train:1:0", 0)
    assert not board.answer("train:1:0", 0, {"second": 2})
    assert board.answers(["train:1:0"]) == {"train:1:0": {"first": 1}}


def test_answers_of_another_attempt_round_run_or_session_have_no_effect(
    client: redis.Redis, board: JobBoard
) -> None:
    board.expect({"train:1:0": 1})
    before = {key: client.dump(key) for key in client.scan_iter("*")}
    strangers = [
        (board, "train:1:0", 0),
        (board, "train:1:0", 2),
        (board, "train:2:0", 1),
        (JobBoard(client, "run", "earlier session"), "train:1:0", 1),
        (JobBoard(client, "other run", "session"), "train:1:0", 1),
    ]
    for stranger, job, attempt in strangers:
        assert not stranger.expects(job, attempt)
        assert not stranger.answer(job, attempt, {})
        stranger.fail(job, attempt, "w", "error")
    assert {key: client.dump(key) for key in client.scan_iter("*")} == before
    assert board.answer("train:1:0", 1, {})


def test_a_new_session_takes_the_run_over(client: redis.Redis, board: JobBoard) -> None:
    other = JobBoard(client, "run", "later session")
    assert other.take_over() is not None
    assert board.expects("train:1:0", 0)
    assert other.take_over(force=True) is None
    assert not board.expects("train:1:0", 0)
    assert not board.answer("train:1:0", 0, {})


def test_what_is_forgotten_is_refused(board: JobBoard) -> None:
    board.forget(["train:1:0"])
    assert not board.answer("train:1:0", 0, {})


def test_every_key_has_a_time_to_live(client: redis.Redis, board: JobBoard) -> None:
    board.fail("train:1:0", 0, "w", "error")
    board.answer("train:1:0", 0, {})
    found = sorted(key.decode() for key in client.scan_iter("*"))
    assert len(found) == 5
    assert all(0 < client.ttl(key) <= keys.LIFETIME_S for key in found)
    board.close()
    assert list(client.scan_iter("*")) == [keys.session("run").encode()]
    assert client.ttl(keys.session("run")) > 0


def test_a_run_that_is_held_is_expected_for_longer_than_a_day(client: redis.Redis, board: JobBoard) -> None:
    board.expect({"train:1:1": 0})
    board.answer("train:1:0", 0, {})
    board.fail("train:1:1", 0, "w", "error")
    names = [keys.of_session("run", "session", name) for name in ("attempts", "answers", "failures")]
    for key in (*names, keys.session("run")):
        client.expire(key, 5)
    assert board.hold()
    assert all(client.ttl(key) > 1000 for key in (*names, keys.session("run")))


def test_a_failure_of_an_overtaken_attempt_is_not_that_of_the_next(
    client: redis.Redis, board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobBoard, "expects", lambda *_: True)  # as it was before this worker was stopped
    board.expect({"train:1:0": 1})
    board.fail("train:1:0", 0, "w", "error")
    assert board.failures(["train:1:0"]) == {}
    board.fail("train:1:0", 1, "w", "error")
    assert board.failures(["train:1:0"])["train:1:0"]["error"] == "error"


@pytest.mark.parametrize(
    "entry", [b"", b"5", b"[]", b"{", b"\xff", b"[" * 100_000, b'"' + b"x" * 10_000_000 + b'"']
)
def test_an_answer_that_cannot_be_read_is_a_failure_that_can_be_tried_again(
    client: redis.Redis, board: JobBoard, entry: bytes
) -> None:
    board.expect({"train:9:9": 0})
    client.hset("dt:run:run:session:answers", "train:9:9", entry)
    assert board.answers(["train:9:9"]) == {}
    assert "cannot be read" in board.failures(["train:9:9"])["train:9:9"]["error"]
    assert board.answer("train:9:9", 0, {"status": "ok"})
    assert board.answers(["train:9:9"]) == {"train:9:9": {"status": "ok"}}
    client.hset("dt:run:run:session:failures", "train:9:9", entry)
    assert len(board.failures(["train:9:9"])["train:9:9"]["error"]) < 200
