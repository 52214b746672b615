"""The folder that the launcher makes for weights: when there is one, where, and that it is removed."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from commands import up
from helpers.cluster.connection import connect, is_on_this_machine
from helpers.cluster.versions import ROOT
from helpers.launcher import weight_folder

URL = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch) -> dict[str, Path]:
    """Shared memory and the place for temporary files, both empty; no live workers."""
    places = {name: tmp_path / name for name in ("memory", "temporary")}
    for place in places.values():
        place.mkdir()
    monkeypatch.setattr(weight_folder, "SHARED_MEMORY", places["memory"])
    monkeypatch.setattr(weight_folder, "LEAST_FREE_BYTES", 1)
    monkeypatch.setattr(weight_folder, "live_workers", lambda client: {})
    monkeypatch.setattr(tempfile, "tempdir", str(places["temporary"]))
    monkeypatch.delenv("DT_WEIGHT_STORE", raising=False)
    return places


def folder_in(place: dict[str, str]) -> Path:
    return Path(urlsplit(place["DT_WEIGHT_STORE"]).path)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit(143), None])
def test_lies_in_memory_and_is_removed_whatever_happens(places, ending):
    try:
        with weight_folder.weight_folder(URL) as place:
            folder = folder_in(place)
            assert folder.parent == places["memory"]
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "key.weights").touch()
            if ending:
                raise ending
    except (KeyboardInterrupt, SystemExit):
        pass
    assert not list(places["memory"].iterdir())


def test_lies_among_temporary_files_where_memory_is_short(places, monkeypatch):
    monkeypatch.setattr(weight_folder, "LEAST_FREE_BYTES", 1 << 60)
    with weight_folder.weight_folder(URL) as place:
        assert folder_in(place).parent == places["temporary"]
    monkeypatch.setattr(weight_folder, "SHARED_MEMORY", Path("/no/such/folder"))
    with weight_folder.weight_folder(URL) as place:
        assert folder_in(place).parent == places["temporary"]


KILLED = """
import os, signal, sys
from pathlib import Path
from helpers.cluster.versions import ROOT
from helpers.launcher import weight_folder
weight_folder.SHARED_MEMORY, weight_folder.LEAST_FREE_BYTES = Path(sys.argv[1]), 1
weight_folder.live_workers = lambda client: {}
with weight_folder.weight_folder("redis://127.0.0.1:1/0"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_that_of_a_killed_process_is_removed_by_the_next_and_no_other(places):
    (places["memory"] / "dt-weights-of-an-older-version").mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(places["memory"])], cwd=ROOT)
    assert len(list(places["memory"].iterdir())) == 2
    with weight_folder.weight_folder(URL) as first, weight_folder.weight_folder(URL) as second:
        folders = {folder_in(place).name for place in (first, second)}
        kept = {folder.name for folder in places["memory"].iterdir()}
        assert kept == folders | {"dt-weights-of-an-older-version"}


@pytest.mark.parametrize("value", ["redis", "file:///mine"])
def test_the_users_own_setting_stays(places, monkeypatch, value):
    monkeypatch.setenv("DT_WEIGHT_STORE", value)
    with weight_folder.weight_folder(URL) as place:
        assert place == {}


def test_workers_that_are_there_already_keep_the_store_they_have(monkeypatch):
    monkeypatch.setattr(weight_folder, "live_workers", lambda client: {"worker1@host": {}})
    with weight_folder.weight_folder(URL) as place:
        assert place == {}


def test_workers_of_another_machine_could_not_see_it():
    with weight_folder.weight_folder("redis://10.0.0.5:6379/0") as place:
        assert place == {}


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("redis://127.0.0.1:6379/0", True),
        ("redis://127.1.2.3", True),
        ("rediss://user:word@localhost:6380/1", True),
        ("redis://[::1]:6379", True),
        ("redis://", True),
        ("redis://10.0.0.5", False),
        ("redis://[2001:db8::1]", False),
        ("redis://redis:6379/0", False),
        ("redis://localhost.example.org", False),
    ],
)
def test_which_redis_is_on_this_machine(url, here):
    assert is_on_this_machine(connect(url)) == here


def test_one_more_worker_is_started_like_the_others(monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)
    others = {"REDIS_URL": "redis://127.0.0.1:7/0", "DT_THREADS": "2", "DT_WEIGHT_STORE": "file:///dev/shm/w"}
    text = up._how_to_go_on(others, 3)
    train, worker = [line for line in text.splitlines() if line.startswith("  ")]
    assert re.fullmatch(r"  REDIS_URL=redis://127.0.0.1:7/0 \S+ distributed_training_index\.py", train)
    expected = "  REDIS_URL=redis://127.0.0.1:7/0 DT_THREADS=2 DT_WEIGHT_STORE=file:///dev/shm/w "
    assert worker.startswith(expected)
    assert worker.endswith("worker --pool=solo --hostname=worker4@%h")
    text = up._how_to_go_on(others | {"DT_NAMESPACE": "mine"}, 3)
    assert text.count("  DT_NAMESPACE=mine REDIS_URL=redis://127.0.0.1:7/0 ") == 2
