"""Deletion of runs, and which runs may be in training."""

import json
import os
import time
from pathlib import Path

import pytest

from helpers.run_records.deletion import MARGIN, delete_run, may_be_in_training
from helpers.run_records.files import RunFolders

DEADLINE_S = 100
PLACE = ".epoch-000000002-0a1b2c3d"


@pytest.fixture
def folders(tmp_path) -> RunFolders:
    folders = RunFolders(tmp_path / "metrics/r", tmp_path / "models/r")
    for folder in (folders.metrics, folders.models):
        folder.mkdir(parents=True)
    (folders.metrics / "run.json").write_text(json.dumps({"settings": {"ROUND_DEADLINE_S": DEADLINE_S}}))
    folders.state.touch()
    return folders


def let_pass(folders: RunFolders, seconds: float) -> None:
    then = time.time() - seconds
    for folder in (folders.metrics, folders.models):
        for path in (*folder.iterdir(), folder):
            os.utime(path, (then, then))


def test_a_finished_run_is_not_in_training(folders):
    assert not may_be_in_training(folders, 1)


@pytest.mark.parametrize("of", ["metrics", "models"])
def test_a_run_with_a_place_may_be_until_it_has_not_changed_for_long(folders, of):
    (getattr(folders, of) / PLACE).mkdir()
    assert may_be_in_training(folders, 1)
    let_pass(folders, MARGIN * DEADLINE_S - 10)
    assert may_be_in_training(folders, 1)
    let_pass(folders, MARGIN * DEADLINE_S + 10)
    assert not may_be_in_training(folders, 1)
    (folders.metrics / "rounds.csv").touch()
    assert may_be_in_training(folders, 1)


def test_an_orchestrator_that_waits_for_workers_is_alive(folders):
    (folders.models / PLACE).mkdir()
    let_pass(folders, MARGIN * DEADLINE_S + 10)
    assert may_be_in_training(folders, 2 * DEADLINE_S)
    assert not may_be_in_training(folders, DEADLINE_S)


def test_a_file_that_vanishes_meanwhile_is_no_error(folders):
    (folders.models / PLACE).mkdir()
    (folders.metrics / ".rounds.csv.tmp").symlink_to("gone")  # listed, but stat does not find it
    assert may_be_in_training(folders, 1)


def test_without_a_record_of_its_deadline_it_is_the_default(folders):
    (folders.metrics / "run.json").unlink()
    (folders.models / PLACE).mkdir()
    let_pass(folders, 3600)
    assert may_be_in_training(folders, 1)


def test_both_folders_are_deleted_and_nothing_else(folders, tmp_path):
    other = tmp_path / "metrics/other"
    other.mkdir()
    delete_run(folders)
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "metrics", tmp_path / "models", other])
    delete_run(folders)


def test_a_missing_folder_is_no_run(tmp_path):
    assert not may_be_in_training(RunFolders(tmp_path / "a", Path(tmp_path / "b")), 1)
