"""Heartbeats as anyone may have written them."""

import json
from typing import Any

import pytest

from helpers.cluster.heartbeat import Heartbeat, live_workers
from helpers.cluster.worker_status import MOST_BYTES, UnreadableStatus, decode_status

GOOD: dict[str, Any] = {
    "token": "t", "pid": 1, "host": "h", "ready": True, "queues": ["train"], "threads": 1, "site": None,
    "task": {"run": "r", "job": "train:1:0", "attempt": 0, "batch": 1, "batches": 2, "seconds": 0.5},
    "something_newer": [1],
}  # fmt: skip


class FakeRedis:
    """The two commands that reading heartbeats needs."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values

    def scan_iter(self, *_: Any, **__: Any) -> Any:
        return iter(self.values)

    def mget(self, names: list[Any]) -> list[Any]:
        return [self.values.get(name) for name in names]


def test_what_a_worker_writes_is_read() -> None:
    assert decode_status(json.dumps(GOOD).encode()) == GOOD
    assert decode_status(Heartbeat(FakeRedis({}), "w@h", {"threads": 1})._encoded().encode())["task"] is None


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff", b"[]", b"5", b"null", b"{", b"[" * 100_000, b" " * (MOST_BYTES + 1), b'"x"'],
)  # fmt: skip
def test_what_is_no_table_is_refused(value: bytes) -> None:
    with pytest.raises(UnreadableStatus):
        decode_status(value)


@pytest.mark.parametrize("name", ["token", "pid", "host", "ready", "queues", "task", "threads", "site"])
def test_other_types_are_refused(name: str) -> None:
    for value in (None, [5], {"a": 1}, "x", 1.5, 10**400, True):
        try:
            status = decode_status(json.dumps(GOOD | {name: value}).encode())
        except UnreadableStatus:
            continue
        assert status[name] == value  # type: ignore[literal-required]
        assert (name, type(value)) in {
            ("token", str), ("host", str), ("ready", bool), ("task", type(None)), ("site", dict),
            ("site", type(None)),
        }  # fmt: skip


@pytest.mark.parametrize("name", ["token", "pid", "host", "ready", "queues", "task"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(UnreadableStatus, match=f"{name}: Field required"):
        decode_status(json.dumps({key: value for key, value in GOOD.items() if key != name}).encode())


def test_a_task_of_another_form_is_refused() -> None:
    for task in (
        {},
        {"job": 5, "attempt": 0},
        GOOD["task"] | {"seconds": "x"},
        GOOD["task"] | {"batch": None},
    ):
        with pytest.raises(UnreadableStatus):
            decode_status(json.dumps(GOOD | {"task": task}).encode())


def test_one_bad_heartbeat_hides_no_other() -> None:
    values = {b"dt:worker:good@h": json.dumps(GOOD).encode(), b"dt:worker:\xffbad\n": b"[]"}
    ignored: list[tuple[str, str]] = []
    workers = live_workers(FakeRedis(values), lambda *what: ignored.append(what))  # type: ignore[arg-type]
    assert list(workers) == ["good@h"]
    assert ignored == [(r"\\xffbad\n", "Input should be an object")]
