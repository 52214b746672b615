"""Checkpoints: names, damaged files and files of early versions."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.federated.messages import RoundOrder
from helpers.federated.weights import schema_of
from helpers.run_records.checkpoint import (
    holds,
    load_arrays,
    read_state,
    save_weights,
)
from helpers.run_records.files import RecordError, RunFolders
from helpers.run_records.run_log import begin_run
from helpers.weight_store.store import MemoryStore, put_arrays

NAMES = ["a", "b"]


def weights_of(value: float) -> list[np.ndarray]:
    return [np.full(3, value, np.float32), np.full((2, 2), -value, np.float32)]


SCHEMA = schema_of(NAMES, weights_of(0))


def order(round_number: int) -> RoundOrder:
    return RoundOrder("r", "s", {"EPOCHS": 9}, "digest", {}, 0, round_number, [0], {}, 0.0, num_clients=1)


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    folders = RunFolders(tmp_path / "metrics" / "r", tmp_path / "models" / "r")
    begin_run(folders, order(0), SCHEMA, weights_of(0))
    return folders


def content(folders: RunFolders) -> dict[str, bytes]:
    both = (folders.metrics, folders.models)
    return {file.name: file.read_bytes() for folder in both for file in folder.iterdir()}


def test_state_files_of_early_versions_are_read(folders: RunFolders) -> None:
    content = json.loads(folders.state.read_text())
    for name, empty in (("state_files", {}), ("server_file", None), ("server_file_before", None)):
        assert content["state"].pop(name) == empty
    folders.state.write_text(json.dumps(content))
    state, _ = read_state(folders)
    assert (state.state_files, state.server_file, state.server_file_before) == ({}, None, None)


def test_a_file_name_matches_its_reference(folders: RunFolders) -> None:
    names = [spec.name for spec in SCHEMA]
    name = save_weights(folders, 1, SCHEMA, weights_of(1))
    assert holds(name, put_arrays(MemoryStore(), "key", names, weights_of(1)).sha256)
    assert not holds(name, put_arrays(MemoryStore(), "key", names, weights_of(2)).sha256)
    assert not holds(name, "0" * 64)
    assert not holds(name, "")


def test_damaged_weights_are_named(folders: RunFolders) -> None:
    name = save_weights(folders, 1, SCHEMA, weights_of(1))
    path = folders.models / name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(RecordError, match="damaged"):
        load_arrays(folders, name, SCHEMA)
    with pytest.raises(RecordError, match="could not be read"):
        load_arrays(folders, "weights-0009-abc.safetensors", SCHEMA)


def test_a_damaged_state_is_named(folders: RunFolders) -> None:
    for text in ("{", "[]", "{}", '{"format": 1, "state": {}}'):
        folders.state.write_text(text)
        with pytest.raises(RecordError, match=r"state\.json"):
            read_state(folders)
    folders.state.write_text('{"format": 99, "state": {}}')
    with pytest.raises(RecordError, match="another version"):
        read_state(folders)


@pytest.mark.parametrize(
    ("place", "name", "value", "reason"),
    [
        ("", "settings", [], r"`settings` is \[\]: Input should be an object"),
        ("", "versions", "1", "`versions` is '1': Input should be an object"),
        ("", "data_digest", None, "`data_digest` is None: Input should be a valid string"),
        ("state", "tables", {"rounds.csv": "../x"}, "'../x' is not the name of a file"),
        ("state", "round", "2", "`round` is '2': Input should be a valid integer"),
        ("state", "round", 1.0, "`round` is 1.0: Input should be a valid integer"),
        ("state", "round", -1, "`round` is below 0"),
        ("state", "best_round", -1, "`best_round` is below 0"),
        ("state", "partition_clients", -1, "`partition_clients` is below 0"),
        ("state", "of_no_version", 1, "`of_no_version` is 1: Unexpected keyword argument"),
        ("state", "round", True, "`round` is True: Input should be a valid integer"),
        ("state", "weights_file", "../../x", "'../../x' is not the name of a file"),
        ("state", "weights_file", None, "`weights_file` is None: Input should be a valid string"),
        ("state", "best_roc_auc", "high", "`best_roc_auc` is 'high': Input should be a valid number"),
        ("state", "state_files", ["a"], "`state_files` is .*: Input should be an object"),
        ("state", "sites", {}, r"`sites` is \{\}: Input should be a valid array"),
    ],
)
def test_an_edited_state_is_named(
    folders: RunFolders, place: str, name: str, value: object, reason: str
) -> None:
    content = json.loads(folders.state.read_text())
    (content[place] if place else content)[name] = value
    folders.state.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=rf"state\.json is damaged: {reason}\. Restore") as caught:
        read_state(folders)
    assert "\n" not in str(caught.value)
