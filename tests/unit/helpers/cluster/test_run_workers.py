"""Unable workers are excluded until they are restarted, and those whose numbers differ are named."""

import json
from typing import Any

import fakeredis
import pytest

from helpers.cluster.mailbox import OpenLetters, SiteBoard
from helpers.cluster.run_workers import RunWorkers, SiteWorkers


class FakeRedis:
    """The two commands that reading heartbeats needs; each worker's name, token and queues, as JSON."""

    def __init__(self) -> None:
        self.workers: dict[str, dict[str, Any]] = {}

    def show(self, name: str, *, token: str = "", **more: Any) -> None:
        status = {"token": token or name, "pid": 1, "host": "h", "ready": True, "task": None}
        self.workers[name] = status | {"queues": ["train"]} | more

    def scan_iter(self, *_: Any, **__: Any) -> list[bytes]:
        return [f"dt:worker:{name}".encode() for name in self.workers]

    def mget(self, names: list[Any]) -> list[bytes]:
        return [json.dumps(self.workers[name.decode().rpartition(":")[2]]).encode() for name in names]


def make_workers(*names: str) -> tuple[RunWorkers, FakeRedis, list[str]]:
    client, notices = FakeRedis(), []
    for name in names:
        client.show(name)
    workers = RunWorkers(client, notices.append)  # type: ignore[arg-type]
    workers.look()
    return workers, client, notices


def test_an_unable_worker_is_left_out_and_named_once() -> None:
    workers, _, notices = make_workers("a", "b", "c")
    for _ in range(2):
        workers.exclude("a", "other images")
    assert list(workers.look()) == ["b", "c"]
    assert {workers.target("train") for _ in range(4)} == {"b", "c"}
    assert workers.target("site.x") is None
    assert notices == ["a cannot serve this run and gets no more of its jobs: other images"]
    assert workers.reasons() == ""


def test_without_able_workers_the_reasons_are_known() -> None:
    workers, _, _ = make_workers("a", "b")
    workers.exclude("a", "other images")
    workers.exclude("b", "other code")
    assert (workers.look(), workers.serving("train"), workers.target("train")) == ({}, [], None)
    assert workers.reasons() == "other images; other code"


def test_a_restarted_worker_may_be_able() -> None:
    workers, client, _ = make_workers("a")
    workers.exclude("a", "other images")
    client.show("a", token="new")
    assert list(workers.look()) == ["a"]


def test_a_worker_that_was_not_seen_yet_is_excluded_at_its_next_failure() -> None:
    workers, _, notices = make_workers()
    workers.exclude("a", "other images")
    assert (workers.unable, notices) == ({}, [])


def test_workers_whose_numbers_differ_are_named_once() -> None:
    workers, client, notices = make_workers()
    for name, threads in (("a", "1"), ("b", "2"), ("c", "1")):
        client.show(name, bits={"threads": threads, "oneDNN": "1"})
    client.show("s", site={"name": "north"}, bits={"threads": "8", "oneDNN": "1"})
    client.show("of an earlier version")
    workers.look()
    client.show("d", bits={"threads": "4", "oneDNN": "0"})
    workers.look()
    assert notices == [
        "last digits depend on who trains which client, as workers differ: threads 1 on a, c; threads 2 on b"
    ]


def test_equal_workers_are_compared_again_when_another_comes() -> None:
    workers, client, notices = make_workers()
    for name in ("a", "b"):
        client.show(name, bits={"oneDNN": "1"})
    workers.look()
    assert notices == []
    client.show("c", bits={"oneDNN": "0"})
    workers.look()
    assert len(notices) == 1


NORTH: dict[str, Any] = {"site": {"name": "north"}, "queues": ["site.north"]}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("south/w", NORTH),
        ("w", NORTH),
        ("south/w", {"queues": ["train", "aggregate"]}),
        ("south/w", {"site": {"name": "south"}, "queues": ["site.south", "site.north"]}),
        ("south/w", {"site": {"name": "south"}, "queues": ["site.north"]}),
        (
            "south/w",
            {
                "site": {"name": "south"},
                "queues": ["site.south"],
                "task": {"run": "r", "job": "train:1:0", "attempt": 0},
            },
        ),
    ],
)
def test_a_site_that_speaks_for_others_is_ignored(name: str, status: dict[str, Any]) -> None:
    board = SiteBoard(fakeredis.FakeRedis(), "r", "s", notice=str)
    board.site_of["train:1:0"] = "north"
    client, notices = FakeRedis(), []
    client.show(name, **status)
    task = {"run": "r", "job": "train:1:0", "attempt": 0}
    client.show("north/w", **NORTH | {"task": task})
    client.show("averaging")
    workers = SiteWorkers(client, notices.append, board)  # type: ignore[arg-type]
    for _ in range(2):
        assert set(workers.look()) == {"north/w", "averaging"}
    assert len(notices) == 1
    assert f"the heartbeat of {name} is ignored" in notices[0]


def test_a_site_that_is_no_member_is_ignored() -> None:
    """No order could be sealed to it."""

    class Members(OpenLetters):
        def has_member(self, site: str) -> bool:
            return site != "north"

    board = SiteBoard(fakeredis.FakeRedis(), "r", "s", notice=str, envelopes=Members())
    client, notices = FakeRedis(), []
    client.show("north/w", **NORTH)
    client.show("averaging")
    assert set(SiteWorkers(client, notices.append, board).look()) == {"averaging"}  # type: ignore[arg-type]
    assert "north is not in the members.json" in notices[0]


def test_a_site_may_work_for_another_run() -> None:
    board = SiteBoard(fakeredis.FakeRedis(), "r", "s", notice=str)
    board.site_of["train:1:0"] = "south"
    client = FakeRedis()
    client.show("north/w", **NORTH | {"task": {"run": "other", "job": "train:1:0", "attempt": 0}})
    assert set(SiteWorkers(client, pytest.fail, board).look()) == {"north/w"}  # type: ignore[arg-type]
