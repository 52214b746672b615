"""Records of a run: written atomically, and the same after a resume."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.evaluation.metrics import evaluate
from helpers.federated.messages import Averaged, RoundOrder
from helpers.federated.replies import ClientReply
from helpers.federated.weights import schema_of
from helpers.run_records import files
from helpers.run_records.checkpoint import (
    holds,
    load_arrays,
    read_state,
    save_client_state,
    save_server_state,
    save_weights,
)
from helpers.run_records.files import RecordError, RunFolders, write_whole
from helpers.run_records.run_log import begin_run, commit_round, resume_run, server_state_before
from helpers.run_records.tables import (
    class_rows,
    client_row,
    confusion_table,
    read_table,
    round_row,
    to_csv,
    trim_table,
    write_rows,
)
from helpers.weight_store.store import MemoryStore, put_arrays

NAMES = ["a", "b"]
METRICS = ["val_loss", "accuracy", "precision", "recall", "f1_score"]


def weights_of(value: float) -> list[np.ndarray]:
    return [np.full(3, value, np.float32), np.full((2, 2), -value, np.float32)]


SCHEMA = schema_of(NAMES, weights_of(0))


def order(round_number: int) -> RoundOrder:
    return RoundOrder("r", "s", {"EPOCHS": 9}, "digest", {}, 0, round_number, [0], {}, 0.0, num_clients=1)


def commit(folders: RunFolders, round_number: int, auc: float | None, state_files=None, server_file=None):
    reply = ClientReply(round_number, 0, 0, "w", "ok", num_examples=5, train_loss=0.1 + 0.2)
    metrics = dict.fromkeys(METRICS, 0.5) | {"roc_auc": auc}
    row = round_row(round_number, [reply], 1.0, 0.5) | metrics
    clients = [client_row(reply, metrics | {"val_loss": 0.7, "specificity": 0.25})]
    weights = weights_of(round_number)
    evaluation = evaluate(np.array([0, 1, 2, 2]), np.full((4, 3), 1 / 3))
    classes = class_rows(evaluation, ["normal", "benign", "malignant"])
    averaged = Averaged({}, row, clients, {}, state_files or {}, server_file)
    return commit_round(folders, order(round_number), SCHEMA, weights, row, averaged, classes)


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    folders = RunFolders(tmp_path / "metrics" / "r", tmp_path / "models" / "r")
    begin_run(folders, order(0), SCHEMA, weights_of(0))
    return folders


def content(folders: RunFolders) -> dict[str, bytes]:
    both = (folders.metrics, folders.models)
    return {file.name: file.read_bytes() for folder in both for file in folder.iterdir()}


def test_rounds_become_rows(folders: RunFolders) -> None:
    commit(folders, 1, 0.6)
    commit(folders, 2, None)
    text = (folders.metrics / "rounds.csv").read_text().splitlines()
    assert text[1] == "1,1,5,0.30000000000000004,0.5,0.5,0.5,0.5,0.5,0.6,1.0,0,0,,,,,,0.5,0,,"
    assert text[2] == "2,1,5,0.30000000000000004,0.5,0.5,0.5,0.5,0.5,,1.0,0,0,,,,,,0.5,0,,"
    header, first, _ = (folders.metrics / "clients.csv").read_text().splitlines()
    assert header.endswith(",error,state_bytes,val_loss,val_recall,val_specificity,site")
    assert first == "1,0,w,ok,5,0.30000000000000004,0.5,0.6,0.0,0.0,0.0,0,0,,0,0.7,0.5,0.25,"
    header, *rows = (folders.metrics / "classes.csv").read_text().splitlines()
    assert header.startswith("round,class,name,num_examples,precision,recall,f1_score,roc_auc,")
    assert rows[0] == "1,0,normal,1,0.25,1.0,0.4,0.5,0.25,0.0,0.0"  # equal scores: all are called 0
    assert [row[:13] for row in rows[1:4]] == ["1,1,benign,1,", "1,2,malignant", "2,0,normal,1,"]


def test_the_confusion_table_has_a_row_per_true_class_and_a_column_per_prediction() -> None:
    text = to_csv(confusion_table(np.array([[3, 1], [0, 5]]), ["normal", "normal, benign"])).decode()
    assert text == 'true,normal,"normal, benign"\nnormal,3,1\n"normal, benign",0,5\n'


def test_best_is_the_first_round_of_the_highest_auc(folders: RunFolders) -> None:
    for round_number, auc in enumerate([None, 0.6, 0.8, 0.8, 0.7], start=1):
        state = commit(folders, round_number, auc)
    assert (state.best_round, state.best_roc_auc, state.round) == (3, 0.8, 5)
    best = load_arrays(folders, state.best_weights_file, SCHEMA)
    np.testing.assert_array_equal(best[0], weights_of(3)[0])
    kept = {file.name for file in folders.models.glob("weights-*")}
    assert kept == {state.weights_file, state.best_weights_file}


def test_the_same_round_twice_changes_nothing(folders: RunFolders) -> None:
    commit(folders, 1, 0.6)
    before = content(folders)
    commit(folders, 1, 0.6)
    assert content(folders) == before


def test_a_round_that_does_not_follow_is_refused(folders: RunFolders) -> None:
    commit(folders, 1, 0.6)
    before = content(folders)
    with pytest.raises(RecordError, match="at round 1, expected 2"):
        commit(folders, 3, 0.9)
    assert content(folders) == before


def test_resume_drops_what_the_state_does_not_name(folders: RunFolders) -> None:
    commit(folders, 1, 0.6)
    before = content(folders)
    state_file = folders.state.read_bytes()
    commit(folders, 2, 0.9)
    folders.state.write_bytes(state_file)  # as if killed before the last step
    write_whole(folders.models / next(n for n in before if n.startswith("weights")), before[
        next(n for n in before if n.startswith("weights"))
    ])  # fmt: skip
    state, weights = resume_run(folders, order(0), SCHEMA)
    assert state.round == 1
    np.testing.assert_array_equal(weights[0], weights_of(1)[0])
    for name in ("rounds.csv", "clients.csv", "classes.csv"):
        assert (folders.metrics / name).read_bytes() == before[name]


def test_resumed_equals_uninterrupted(tmp_path: Path, folders: RunFolders) -> None:
    other = RunFolders(tmp_path / "o" / "metrics", tmp_path / "o" / "models")
    begin_run(other, order(0), SCHEMA, weights_of(0))
    for round_number, auc in ((1, 0.7), (2, 0.4)):
        commit(folders, round_number, auc)
        commit(other, round_number, auc)
        resume_run(other, order(0), SCHEMA)
    assert content(other) == content(folders)


STATE = [np.array([[1, -127]], np.int8), np.array(0.5, np.float32)]
STATE_SCHEMA = schema_of(["a", "a.scale"], STATE)


def save_states(folders: RunFolders, round_number: int, *clients: int) -> dict[str, str]:
    state = [STATE[0], np.array(round_number, np.float32)]
    return {
        str(client): save_client_state(folders, round_number, client, STATE_SCHEMA, state)
        for client in clients
    }


def test_a_client_that_did_not_count_keeps_its_state(folders: RunFolders) -> None:
    commit(folders, 1, 0.6, save_states(folders, 1, 0, 1))
    save_states(folders, 2, 1)  # an aggregation that did not get further
    state = commit(folders, 2, 0.7, save_states(folders, 2, 0))
    assert {name: file[:12] for name, file in state.state_files.items()} == {
        "0": "state-0002-0",
        "1": "state-0001-1",
    }
    assert {file.name for file in folders.models.glob("state-*")} == set(state.state_files.values())
    resumed, _ = resume_run(folders, order(0), SCHEMA)
    assert resumed == state
    levels, scale = load_arrays(folders, resumed.state_files["1"], STATE_SCHEMA)
    np.testing.assert_array_equal(levels, STATE[0])
    assert float(scale) == 1


def save_momentum(folders: RunFolders, round_number: int) -> str:
    return save_server_state(folders, round_number, SCHEMA, weights_of(10 + round_number))


def server_state_at(folders: RunFolders, round_number: int) -> float | None:
    state = server_state_before(folders, round_number, SCHEMA)
    return float(state[0][0]) if state else None


def test_the_server_state_is_kept_from_round_to_round(folders: RunFolders) -> None:
    assert server_state_at(folders, 1) is None
    for round_number in (1, 2, 3):
        commit(folders, round_number, 0.6, None, save_momentum(folders, round_number))
        assert server_state_at(folders, round_number + 1) == 10 + round_number
        resume_run(folders, order(0), SCHEMA)
        assert server_state_at(folders, round_number + 1) == 10 + round_number
    assert [file.name[:11] for file in sorted(folders.models.glob("server-*"))] == [
        "server-0002",
        "server-0003",
    ]


def test_an_aggregation_repeated_after_its_commit_gets_the_same_server_state(
    folders: RunFolders,
) -> None:
    for round_number in (1, 2):
        before = server_state_at(folders, round_number)
        for _ in range(2):
            commit(folders, round_number, 0.6, None, save_momentum(folders, round_number))
            assert server_state_at(folders, round_number) == before
    assert server_state_at(folders, 3) == 12


@pytest.mark.parametrize("setting", ["STRATEGY", "UPDATE_DTYPE", "BATCH_NORM"])
def test_forced_other_settings_drop_the_states(folders: RunFolders, setting: str) -> None:
    commit(folders, 1, 0.6, save_states(folders, 1, 0, 1), save_momentum(folders, 1))
    changed = replace(order(0), settings={"EPOCHS": 9, setting: "another"})
    state, _ = resume_run(folders, changed, SCHEMA)
    assert server_state_at(folders, 2) is None
    assert state.state_files == {}
    assert [file.name for file in folders.models.glob("*.safetensors")] == [state.weights_file]


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


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"first")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RecordError, match="file could not be written: No space left"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_floats_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    rows = [{"round": 1, "value": value} for value in values]
    write_rows(path, ["round", "value"], 1, rows)
    assert [float(text) for text in read_table(path, [])["value"]] == values


def test_trimming_keeps_every_digit(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for round_number in (1, 2, 3):
        write_rows(path, ["round", "value"], round_number, [{"round": round_number, "value": 0.1 * 3}])
    lines = path.read_text().splitlines()
    trim_table(path, ["round", "value"], 2)
    assert path.read_text().splitlines() == lines[:3]
    assert to_csv(read_table(path, [])).decode().splitlines() == lines[:3]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files there")
def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from helpers.run_records.files import RecordError, write_whole\n"
        "path = Path(sys.argv[1]); write_whole(path, b'first')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_whole(path, b'x' * 5000)\n"
        "except RecordError as error: print(error)\n"
    )
    root = Path(__file__).resolve().parents[4]
    path = tmp_path / "state.json"
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=root, capture_output=True, text=True)
    assert "state.json could not be written: File too large" in done.stdout, done.stderr
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
