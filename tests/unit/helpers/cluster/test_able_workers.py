"""Workers that cannot serve a run: left out, once announced, and taken back after a restart."""

from typing import Any

from helpers.cluster.able_workers import AbleWorkers


def status(token: str = "1", task: Any = None, queues: tuple[str, ...] = ("train",)) -> dict[str, Any]:
    return {"token": token, "task": task, "queues": list(queues)}


WORKERS = {"a": status(task={}), "b": status(), "c": status(), "d": status(queues=())}


def test_while_all_are_able_jobs_go_into_the_queue() -> None:
    able = AbleWorkers(print)
    assert able.target(WORKERS, "train") is None
    assert able.serving(WORKERS, "train") == ["b", "c", "a"]


def test_an_unable_worker_is_announced_once_and_the_others_take_turns() -> None:
    notices: list[str] = []
    able = AbleWorkers(notices.append)
    able.exclude("b", WORKERS, "other data")
    able.exclude("b", WORKERS, "other data")
    assert notices == ["b cannot serve this run and gets no more of its jobs: other data"]
    assert {able.target(WORKERS, "train") for _ in range(4)} == {"a", "c"}
    assert able.another(WORKERS, "train", "c") == "a"


def test_a_restarted_worker_is_able_again() -> None:
    able = AbleWorkers(print)
    able.exclude("b", WORKERS, "other data")
    assert able.target(WORKERS | {"b": status("2")}, "train") is None


def test_if_none_is_able_jobs_go_into_the_queue() -> None:
    able = AbleWorkers(print)
    able.exclude("b", {"b": status()}, "other data")
    assert able.target({"b": status()}, "train") is None
    assert able.serving({"b": status()}, "train") == []
