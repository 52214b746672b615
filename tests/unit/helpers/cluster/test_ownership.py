"""Ownership of a run: who gets it, who is refused, and what a lost session does."""

import fakeredis
import pytest

from helpers.cluster import keys
from helpers.cluster.errors import RunTakenOver
from helpers.cluster.job_board import JobBoard
from helpers.cluster.ownership import take_run_over
from helpers.settings.errors import ConfigError


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis()


@pytest.fixture
def first(client: fakeredis.FakeRedis) -> JobBoard:
    board = JobBoard(client, "r", "first")
    take_run_over(board, force=False, notice=pytest.fail, sleep=pytest.fail)
    board.expect({"train:1:0": 0})
    client.set("dt:run:r:first:weights:1", b"blob")
    return board


def grow_older(client: fakeredis.FakeRedis, seconds: float) -> None:
    client.pexpire(keys.session("r"), client.pttl(keys.session("r")) - round(1000 * seconds))


def test_a_run_of_a_live_process_is_refused(client, first):
    notices: list[str] = []

    def sleep(seconds: float) -> None:
        first.hold()
        grow_older(client, 0.5)

    second = JobBoard(client, "r", "second")
    with pytest.raises(
        ConfigError, match=r"run r: another process is training it; .* run.py stop r.* --take-over"
    ):
        take_run_over(second, force=False, notice=notices.append, sleep=sleep)
    assert len(notices) == 1
    assert first.hold()
    assert first.expects("train:1:0", 0)


@pytest.mark.parametrize("set_back", [0, 7200])
def test_a_run_of_a_dead_process_is_taken_and_what_it_left_is_deleted(client, first, set_back):
    client.set("dt:run:other:first:weights:1", b"blob")
    grow_older(client, -set_back)  # Redis' clock was set back since
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        grow_older(client, seconds)

    take_run_over(JobBoard(client, "r", "second"), force=False, notice=str, sleep=sleep)
    assert 8 <= sum(waits) <= 12
    assert sorted(client.keys()) == [b"dt:run:other:first:weights:1", b"dt:run:r:session"]
    with pytest.raises(RunTakenOver, match="another process took over this run"):
        first.hold()


def test_force_takes_a_run_from_a_live_process_whose_end_leaves_it_alone(client, first):
    second = JobBoard(client, "r", "second")
    take_run_over(second, force=True, notice=pytest.fail, sleep=pytest.fail)
    with pytest.raises(RunTakenOver):
        first.hold()
    first.close()
    assert second.hold()


def test_a_session_that_wakes_after_a_later_one_has_ended_does_not_claim_the_run(client, first):
    second = JobBoard(client, "r", "second")
    take_run_over(second, force=True, notice=pytest.fail, sleep=pytest.fail)
    second.close()
    with pytest.raises(RunTakenOver):
        first.hold()
    take_run_over(JobBoard(client, "r", "third"), force=False, notice=pytest.fail, sleep=pytest.fail)


def test_a_session_that_redis_lost_is_claimed_again_unless_another_did(client, first):
    client.flushall()
    assert not first.hold()
    assert first.hold()
    client.flushall()
    take_run_over(JobBoard(client, "r", "second"), force=False, notice=pytest.fail)
    with pytest.raises(RunTakenOver):
        first.hold()
