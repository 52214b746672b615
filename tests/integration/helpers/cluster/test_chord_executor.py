"""The chord executor when no worker serves a queue."""

from collections.abc import Iterator

import pytest
import redis
from celery import Celery

from helpers.cluster import supervision
from helpers.cluster.chord_executor import ChordExecutor, RoundTerms
from helpers.cluster.connection import connect
from helpers.cluster.errors import TaskFailed
from helpers.cluster.heartbeat import Heartbeat
from helpers.cluster.job_board import JobBoard
from helpers.cluster.supervision import Supervisor
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


def test_a_task_that_no_worker_serves_is_named_and_not_waited_for_for_ever(
    client: redis.Redis,
    board: JobBoard,
    supervisor: Supervisor,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "PICK_UP_S", 0.3)
    monkeypatch.setattr(supervision, "TICK_S", 0.1)
    live(client, "serves-only-train@host")
    url = f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0"
    facts = {"run": "run", "session": "session", "settings": {}, "data_digest": "", "versions": {}}
    executor = ChordExecutor(
        Celery(broker=url, backend=url),
        board,
        supervisor,
        facts,
        RoundTerms(9.0, 1, 5.0),
        lambda progress: None,
    )
    with pytest.raises(
        TaskFailed, match="start of run run: no answer within 5 s; it is in the queue aggregate"
    ):
        executor.start_run(resume=False, overwrite=False)
    assert len(notices) == 1
    assert "waits in the queue aggregate and no worker takes it" in notices[0]
