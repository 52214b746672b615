"""Origin of a run: times, hosts, commit and packages in run.json."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from helpers.run_records.files import RunFolders
from helpers.run_records.origin import NO_REPOSITORY, commit_of, host_of, origin_of_run, record_end

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def folders(tmp_path) -> RunFolders:
    (tmp_path / "metrics").mkdir()
    return RunFolders(tmp_path / "metrics", tmp_path / "models")


def git_in(folder: Path) -> tuple[str, ...]:
    return ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder))


@pytest.fixture
def repository(tmp_path) -> Path:
    for arguments in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "-m", "first"]):
        subprocess.run([*git_in(tmp_path), *arguments], check=True)
    return tmp_path


def test_the_start_has_time_hosts_commit_and_packages(folders):
    origin = origin_of_run(folders, "lab:/project", "w2@b", ["w1@a", "w2@b", "w3@b"])
    assert re.fullmatch(TIME, origin["started_at"])
    assert origin["hosts"] == {"orchestrator": "lab", "writer": "b", "workers": ["a", "b"]}
    assert origin["packages"]["numpy"]
    assert origin["git"] == NO_REPOSITORY or re.fullmatch("[0-9a-f]{40}", origin["git"]["commit"])


def test_a_resumed_run_keeps_its_start_and_the_end_is_added(folders):
    file = folders.metrics / "run.json"
    file.write_text('{"started_at": "2026-01-01T00:00:00Z", "run": "r"}')
    assert origin_of_run(folders, "", "w", [])["started_at"] == "2026-01-01T00:00:00Z"
    record_end(folders)
    facts = json.loads(file.read_text())
    assert (facts["run"], facts["started_at"]) == ("r", "2026-01-01T00:00:00Z")
    assert re.fullmatch(TIME, facts["ended_at"])


def test_a_half_removed_package_is_left_out(folders, tmp_path, monkeypatch):
    (tmp_path / "half_removed-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    packages = origin_of_run(folders, "", "w", [])["packages"]
    assert packages["numpy"]
    assert None not in packages


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_damaged_record_is_no_reason_to_fail(folders, content):
    (folders.metrics / "run.json").write_text(content)
    assert origin_of_run(folders, "", "w", [])["started_at"]


def test_the_commit_and_whether_files_differ_from_it(repository):
    commit = commit_of(git_in(repository), repository)
    assert isinstance(commit, dict)
    assert re.fullmatch("[0-9a-f]{40}", commit["commit"])
    assert commit["is_dirty"] is False
    (repository / "image.png").touch()
    assert commit_of(git_in(repository), repository) == commit
    subprocess.run([*git_in(repository), "add", "image.png"], check=True)
    assert commit_of(git_in(repository), repository) == commit | {"is_dirty": True}


def test_a_copy_inside_another_repository_has_no_commit(repository):
    copy = repository / "copy"
    copy.mkdir()
    assert commit_of(git_in(copy), copy) == NO_REPOSITORY


def test_without_git_or_a_repository_there_is_no_commit(tmp_path):
    assert commit_of(git_in(tmp_path), tmp_path) == NO_REPOSITORY
    assert commit_of((str(tmp_path / "no-git"),), tmp_path) == NO_REPOSITORY


def test_the_host_of_a_worker():
    assert [host_of(name) for name in ("worker1@a", "site/x@b.c", "odd")] == ["a", "b.c", "odd"]
