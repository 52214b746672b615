"""The audit log of a site."""

import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from helpers.sites.audit import LONGEST, AuditLog, CountingStore
from helpers.weight_store.store import MemoryStore


def test_entries_come_back_in_order_with_their_time(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "sites/north")
    assert log.entries() == []
    log.append({"run": "a", "bytes_out": 3})
    AuditLog(tmp_path / "sites/north").append({"run": "b"})
    assert [entry["run"] for entry in log.entries()] == ["a", "b"]
    assert all(entry["time"].endswith("Z") for entry in log.entries())
    assert stat.S_IMODE(log.file.stat().st_mode) == 0o600


def test_what_a_sender_chose_stays_in_one_line_of_bounded_length(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.append({"sender": 'x\n{"run": "forged"}' * 1000})
    assert len(log.file.read_text().splitlines()) == 1
    assert len(log.entries()[0]["sender"]) == LONGEST


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.append({"run": "a"})
    with log.file.open("a") as file:
        file.write('{"run": "b')
    assert [entry["run"] for entry in log.entries()] == ["a"]
    log.append({"run": "c"})
    log.append({"run": "d"})
    assert [entry["run"] for entry in log.entries()] == ["a", "c", "d"]


@pytest.mark.parametrize("torn", [b'{"run": "b"}{"run": "c"}\n', b"\0\0\0\n", b"\xff\n", b'{"run": {}'])
def test_a_line_that_cannot_be_read_counts_as_an_order(tmp_path: Path, torn: bytes) -> None:
    """The site goes on, and serves not more orders than without the crash."""
    log = AuditLog(tmp_path)
    log.append({"job": "train:1:0", "decision": "done"})
    with log.file.open("ab") as file:
        file.write(torn)
    assert log.count_served(timedelta(hours=1)) == 2
    log.append({"job": "train:2:0", "decision": "done"})
    assert log.count_served(timedelta(hours=1)) == 3
    assert len(log.entries()) == 2


def test_an_entry_that_is_written_in_part_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr("helpers.sites.audit.os.write", lambda handle, data: write(handle, data[:9]))
    with pytest.raises(OSError, match=r"audit\.jsonl: an entry was written in part only"):
        AuditLog(tmp_path).append({"decision": "done"})


def test_the_store_counts_what_is_put_into_it() -> None:
    inner = MemoryStore()
    store = CountingStore(inner)
    store.put("key", [b"abc", b"de"])
    assert (store.bytes_out, store.get("key", 10)) == (5, b"abcde")
    store.delete(["key"])
    assert inner.blobs == {}


def test_steps_of_secure_aggregation_and_refused_orders_do_not_count(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    for job in ("keys:1:0", "shares:1:0", "train:1:0", "confirmation:1:0", "unmasking:1:0", "score-val:1:0"):
        log.append({"job": job, "decision": "done"})
    log.append({"job": "train:2:0", "decision": "failed: dead"})
    log.append({"job": "train:2:0", "decision": "refused: no"})
    log.append({"decision": "refused: not understood: x"})
    assert log.count_served(timedelta(hours=1)) == 3
