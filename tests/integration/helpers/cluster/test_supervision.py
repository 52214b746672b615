"""The supervisor on a real Redis: failed and lost jobs are retried, deadlines are enforced."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from helpers.cluster import keys, run_clock, supervision
from helpers.cluster.connection import connect
from helpers.cluster.errors import NoWorkers
from helpers.cluster.heartbeat import LIFETIME_S, Heartbeat
from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Deadline, Job
from helpers.cluster.run_clock import redis_time
from helpers.cluster.supervision import Supervisor
from helpers.cluster.worker_session import WorkerSession
from helpers.cluster.worker_status import Workers
from helpers.federated.messages import TrainOrder
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


class Sent:
    """A job whose attempts are written down instead of sent."""

    def __init__(
        self, board: JobBoard, answer_at: int | None = None, fail: bool = False, is_unable: bool = False
    ) -> None:
        self.attempts: list[tuple[int, str | None]] = []
        self._board, self._answer_at, self._fail, self._is_unable = board, answer_at, fail, is_unable
        self.job = Job("train:1:0", "round 1, client 0", "train", self.send)
        self.send(0, None)

    def send(self, attempt: int, target: str | None) -> None:
        self.attempts.append((attempt, target))
        if attempt == self._answer_at:
            self._board.answer("train:1:0", attempt, {"attempt": attempt})
        elif self._fail:
            self._board.fail("train:1:0", attempt, "here@host", f"error {attempt}", is_unable=self._is_unable)


def live(client: redis.Redis, name: str) -> Heartbeat:
    heartbeat = Heartbeat(client, name, {})
    heartbeat.claim()
    heartbeat.show_ready(["train"])
    return heartbeat


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def supervisor(client: redis.Redis, board: JobBoard, notices: list[str]) -> Supervisor:
    return Supervisor(client, board, 2.0, notices.append)


def refuse(job: Job, error: str) -> None:
    raise RuntimeError(f"gave up: {error}")


def test_a_failed_job_is_tried_once_elsewhere(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, notices: list[str]
) -> None:
    live(client, "here@host")
    live(client, "there@host")
    sent = Sent(board, answer_at=1, fail=True)
    assert supervisor.supervise([sent.job], refuse) == {"train:1:0": {"attempt": 1}}
    assert sent.attempts == [(0, None), (1, "there@host")]
    assert notices == ["round 1, client 0: failed on here@host: error 0; retrying"]


def test_an_unable_worker_costs_no_attempt_and_gets_no_more_jobs(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, notices: list[str]
) -> None:
    live(client, "here@host")
    live(client, "there@host")
    sent = Sent(board, answer_at=1, fail=True, is_unable=True)
    assert supervisor.supervise([sent.job], refuse) == {"train:1:0": {"attempt": 1}}
    assert (sent.attempts, sent.job.failed) == ([(0, None), (1, "there@host")], 0)
    assert notices == ["here@host cannot serve this run and gets no more of its jobs: error 0"]
    assert list(supervisor.wait_for_workers()) == ["there@host"]


def test_if_no_worker_is_able_an_able_one_is_waited_for(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, notices: list[str]
) -> None:
    live(client, "here@host")
    sent = Sent(board, answer_at=1, fail=True, is_unable=True)

    came = []

    def come(answers: object, workers: object) -> None:
        if len(notices) == 2 and not came:
            came.append(live(client, "there@host"))

    assert supervisor.supervise([sent.job], refuse, come) == {"train:1:0": {"attempt": 1}}
    assert sent.attempts == [(0, None), (1, "there@host")]
    assert notices[1].startswith("no live worker can serve this run: start workers")


def test_if_no_worker_becomes_able_the_run_ends_with_the_reason(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "UNABLE_S", 0.3)
    live(client, "here@host")
    sent = Sent(board, fail=True, is_unable=True)
    with pytest.raises(NoWorkers, match=r"no live worker can serve this run for 0\.3 s: error 0"):
        supervisor.supervise([sent.job], refuse)
    assert len(sent.attempts) == 1


def test_a_job_that_no_able_worker_takes_fails_with_the_reason(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor
) -> None:
    live(client, "here@host")
    live(client, "there@host").show_ready(["aggregate"])
    with pytest.raises(RuntimeError, match="gave up: error 0"):
        supervisor.supervise([Sent(board, fail=True, is_unable=True).job], refuse)


def test_a_jump_of_redis_clock_that_ends_heartbeats_loses_no_job(
    client: redis.Redis,
    board: JobBoard,
    supervisor: Supervisor,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live(client, "here@host")._show({"job": "train:1:0", "attempt": 0})
    supervisor.wait_for_workers()
    monkeypatch.setattr(run_clock, "redis_time", lambda client: redis_time(client) + 7200)
    client.delete(keys.worker("here@host"))
    sent = Sent(board)
    sent.job.runner = "here@host"
    threading.Timer(0.5, board.answer, ("train:1:0", 0, {})).start()
    assert supervisor.supervise([sent.job], refuse) == {"train:1:0": {}}
    assert sent.attempts == [(0, None)]
    assert notices == ["the clock of Redis' machine jumped by +7200 s; deadlines are corrected for it"]


def test_a_job_that_fails_twice_is_given_up(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor
) -> None:
    live(client, "here@host")
    sent = Sent(board, fail=True)
    with pytest.raises(RuntimeError, match="gave up: error 1"):
        supervisor.supervise([sent.job], refuse)
    assert len(sent.attempts) == 2


def test_a_job_nobody_has_is_sent_again(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "PICK_UP_S", 0.3)
    live(client, "here@host")
    sent = Sent(board, answer_at=1)
    assert supervisor.supervise([sent.job], refuse) == {"train:1:0": {"attempt": 1}}


def test_a_job_that_its_idle_worker_does_not_take_is_sent_to_any(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may have a heartbeat and be deaf, as after a connection that it has not made again."""
    monkeypatch.setattr(supervision, "PICK_UP_S", 0.3)
    deaf, began = live(client, "deaf@host"), time.monotonic()
    sent = Sent(board, answer_at=2)
    supervisor.send_again(sent.job, "deaf@host")
    with deaf.working_on(run="run", job="train:1:9", attempt=0):
        threading.Timer(1.0, deaf._show, (None,)).start()
        assert supervisor.supervise([sent.job], refuse) == {"train:1:0": {"attempt": 2}}
    assert sent.attempts == [(0, None), (1, "deaf@host"), (2, None)]
    # While it had another task, the job waited; and it did not wait until the heartbeat expired.
    assert 1.0 < time.monotonic() - began < LIFETIME_S - 3


def test_a_job_that_was_just_taken_out_of_its_queue_is_not_lost(
    client: redis.Redis,
    board: JobBoard,
    supervisor: Supervisor,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "PICK_UP_S", 60.0)
    monkeypatch.setattr(supervision, "TICK_S", 0.05)
    worker, other_job = live(client, "here@host"), contextlib.ExitStack()
    other_job.enter_context(worker.working_on(job="train:1:1", attempt=0))
    client.lpush("train", "its message")
    sent = Sent(board)
    sent.job.sent_at -= 100  # it has waited behind many others
    looks = []

    def take(answers: object, workers: object) -> None:
        looks.append(1)
        if len(looks) == 3:
            other_job.close()
            client.delete("train")
        if len(looks) == 8:  # before the worker has shown it
            board.answer("train:1:0", 0, {})

    supervisor.supervise([sent.job], refuse, take)
    assert sent.attempts == [(0, None)]
    assert notices == []


def test_a_job_that_may_be_queued_is_waited_for_until_the_deadline(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "PICK_UP_S", 0.3)
    live(client, "here@host")
    client.lpush("train", "some message")
    sent = Sent(board)
    deadline = Deadline(time.monotonic() + 1.5, lambda job: board.answer(job.name, job.attempt, {"late": 1}))
    assert supervisor.supervise([sent.job], refuse, deadline=deadline) == {"train:1:0": {"late": 1}}
    assert sent.attempts == [(0, None)]


def test_a_job_whose_runner_is_gone_is_sent_again(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, notices: list[str]
) -> None:
    runner = live(client, "here@host")
    live(client, "there@host")
    sent = Sent(board, answer_at=1)
    with runner.working_on(job="train:1:0", attempt=0):

        def kill(answers: object, workers: dict) -> None:
            if sent.job.runner is not None:
                client.delete(keys.worker("here@host"))  # as if the heartbeat had lapsed

        supervisor.supervise([sent.job], refuse, kill)
    assert sent.attempts == [(0, None), (1, None)]
    assert notices == ["round 1, client 0: worker here@host died; retrying on another worker"]


def test_without_workers_it_says_so_at_once_and_gives_up_later(
    board: JobBoard, supervisor: Supervisor, notices: list[str]
) -> None:
    began = time.monotonic()
    with pytest.raises(NoWorkers, match="no live worker for 2 s"):
        supervisor.supervise([Sent(board).job], refuse)
    assert 2 <= time.monotonic() - began < 30
    assert "start workers with" in notices[0]


def test_an_answer_wakes_the_orchestrator(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "TICK_S", 60.0)
    live(client, "here@host")
    sent = Sent(board)
    threading.Timer(0.2, board.answer, ("train:1:0", 0, {})).start()
    began = time.monotonic()
    supervisor.supervise([sent.job], refuse)
    assert time.monotonic() - began < 50


def test_each_answer_is_read_once_however_many_jobs_are_open(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(client, "here@host")
    jobs = [Job(f"train:1:{number}", "", "train", lambda attempt, target: None) for number in range(40)]
    board.expect({job.name: 0 for job in jobs})
    asked: list[str] = []
    read = board.answers
    monkeypatch.setattr(board, "answers", lambda names: (asked.extend(names), read(names))[1])
    monkeypatch.setattr(supervision, "TICK_S", 60.0)

    def answer_one_by_one() -> None:
        while not asked:
            time.sleep(0.01)
        for job in jobs:
            board.answer(job.name, 0, {"of": job.name})

    worker = threading.Thread(target=answer_one_by_one)
    worker.start()
    answers = supervisor.supervise(jobs, refuse)
    worker.join()
    assert answers == {job.name: {"of": job.name} for job in jobs}
    assert len(asked) == 2 * len(jobs)  # all at the first look, and each when it was heard of


def test_a_failure_ends_the_time_between_two_looks(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "TICK_S", 60.0)
    live(client, "here@host")
    sent = Sent(board, answer_at=1)
    threading.Timer(0.2, board.fail, ("train:1:0", 0, "here@host", "no memory")).start()
    began = time.monotonic()
    assert supervisor.supervise([sent.job], refuse) == {"train:1:0": {"attempt": 1}}
    assert time.monotonic() - began < 50  # of 60


@pytest.mark.parametrize("stopped_in", ["sleep", "look"])
def test_after_a_stop_of_its_own_process_the_orchestrator_lets_heartbeats_come_back(
    board: JobBoard, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, stopped_in: str
) -> None:
    job = Sent(board).job
    clock = [time.monotonic()]
    passes: dict[str, float] = {}
    monkeypatch.setattr(supervisor.clock, "tick", lambda: 0.0)  # Redis' clock goes on as before
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def look() -> Workers:
        clock[0] += passes.get("look", 0.0)
        return {}

    monkeypatch.setattr(supervisor.workers, "look", look)

    def is_lost_after(seconds: float) -> bool:
        passes[stopped_in] = seconds
        clock[0] += passes.get("sleep", 0.0)
        return supervisor._is_lost(job, supervisor._look([job]))

    assert not is_lost_after(supervision.PICK_UP_S / 2)
    assert not is_lost_after(10 * supervision.PICK_UP_S)
    assert not is_lost_after(1.0)
    assert [is_lost_after(1.0) for _ in range(LIFETIME_S)][-1]
    assert not is_lost_after(20.0)
    assert is_lost_after(20.0)  # each look takes so long, as with a slow observer


def test_a_queue_of_another_type_ends_no_run(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor
) -> None:
    """A member of a deployment can write what it likes into its own queue; its job waits for the deadline."""
    live(client, "here@host")
    client.set("train", "no list")
    try:
        sent = Sent(board)

        def close(job: Job) -> None:
            board.answer(job.name, job.attempt, {})

        deadline = Deadline(time.monotonic() + 1.5, close)
        assert supervisor.supervise([sent.job], refuse, deadline=deadline) == {"train:1:0": {}}
    finally:
        client.delete("train")


def test_a_deadline_ends_a_job_that_redis_no_longer_expects(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor
) -> None:
    live(client, "here@host")
    job = Sent(board).job
    client.hset(keys.of_session("run", "session", "attempts"), job.name, "7")  # as in an older state
    deadline = Deadline(time.monotonic(), lambda job: board.answer(job.name, job.attempt, {"late": 1}))
    assert supervisor.supervise([job], refuse, deadline=deadline) == {job.name: {"late": 1}}


def test_a_worker_refuses_an_order_it_does_not_understand_by_name(
    client: redis.Redis,
    board: JobBoard,
    supervisor: Supervisor,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "UNABLE_S", 0.1)
    address = f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0"
    session = WorkerSession("old@host", address, 0)
    session.heartbeat.claim()
    session.heartbeat.show_ready()
    order = TrainOrder("run", "session", {}, "digest", {}, 0, 1, [0], {}, 0.0, 0, num_clients=1)
    message = order.to_message() | {"field of a later version": 1}

    def send(attempt: int, target: str | None) -> None:
        session.run_order(TrainOrder, message | {"attempt": attempt}, lambda order: {})

    job = Job(order.job, order.label, "train", send)
    job.send(0, None)
    with pytest.raises(NoWorkers, match=r"not understood: TrainOrder: expected the fields"):
        supervisor.supervise([job], refuse)
    assert notices[0].startswith("old@host cannot serve this run")


def test_a_job_that_is_lost_again_and_again_is_given_up(
    client: redis.Redis, board: JobBoard, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "PICK_UP_S", 0.0)
    monkeypatch.setattr(supervision, "TICK_S", 0.01)
    live(client, "here@host")
    sent = Sent(board)
    with pytest.raises(RuntimeError, match="no worker keeps it"):
        supervisor.supervise([sent.job], refuse)
    assert len(sent.attempts) == supervision.MOST_LOSSES + 1
