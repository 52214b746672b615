"""The records of a run: committed whole, and the same after a resume."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.evaluation.metrics import evaluate
from helpers.federated.messages import RoundOrder
from helpers.federated.replies import ClientReply
from helpers.federated.results import Averaged
from helpers.federated.rounds import has_lost_patience
from helpers.federated.weights import schema_of
from helpers.run_records.checkpoint import (
    load_arrays,
    read_state,
    save_client_state,
    save_server_state,
)
from helpers.run_records.files import RecordError, RunFolders, write_whole
from helpers.run_records.run_log import (
    begin_run,
    commit_round,
    is_better,
    resume_run,
    server_state,
)
from helpers.run_records.tables import (
    class_rows,
    client_row,
    round_row,
)

NAMES = ["a", "b"]


METRICS = ["val_loss", "accuracy", "precision", "recall", "f1_score"]


def weights_of(value: float) -> list[np.ndarray]:
    return [np.full(3, value, np.float32), np.full((2, 2), -value, np.float32)]


SCHEMA = schema_of(NAMES, weights_of(0))


def order(round_number: int, settings=()) -> RoundOrder:
    return RoundOrder(
        "r", "s", {"EPOCHS": 9, **dict(settings)}, "digest", {}, 0, round_number, [0], {}, 0.0, num_clients=1
    )


def commit(
    folders: RunFolders, round_number: int, auc: float | None, state_files=None, server_file=None, loss=0.5,
    partition=(), ema_auc=None, settings=(),
):  # fmt: skip
    reply = ClientReply(round_number, 0, 0, "w", "ok", num_examples=5, train_loss=0.1 + 0.2)
    metrics = dict.fromkeys(METRICS, 0.5) | {"roc_auc": auc, "val_loss": loss}
    row = round_row(round_number, [reply], 1.0, 0.5) | metrics
    ema = None
    if ema_auc is not None:
        row |= {"ema_val_loss": loss, "ema_roc_auc": ema_auc}
        ema = weights_of(10 + round_number)
    clients = [client_row(reply, metrics | {"val_loss": 0.7, "specificity": 0.25})]
    weights = weights_of(round_number)
    evaluation = evaluate(np.array([0, 1, 2, 2]), np.full((4, 3), 1 / 3))
    classes = class_rows(evaluation, ["normal", "benign", "malignant"])
    averaged = Averaged({}, row, clients, {}, state_files or {}, server_file)
    rows = {
        "rounds.csv": [row],
        "clients.csv": clients,
        "classes.csv": [{"round": round_number, **values} for values in classes],
        "partition.csv": list(partition),
    }
    return commit_round(folders, order(round_number, settings), SCHEMA, weights, averaged, rows, ema=ema)


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    folders = RunFolders(tmp_path / "metrics" / "r", tmp_path / "models" / "r")
    begin_run(folders, order(0), SCHEMA, weights_of(0))
    return folders


def content(folders: RunFolders) -> dict[str, bytes]:
    """Return the files of a run by name, without the number of take-overs."""
    both = (folders.metrics, folders.models)
    files = {file.name: file.read_bytes() for folder in both for file in folder.iterdir()}
    return files | {"state.json": re.sub(rb'"epoch": \d+', b"", files["state.json"])}


def test_rounds_become_rows(folders: RunFolders) -> None:
    commit(folders, 1, 0.6)
    commit(folders, 2, None)
    text = (folders.metrics / "rounds.csv").read_text().splitlines()
    assert text[1] == "1,1,5,0.30000000000000004,0.5,0.5,0.5,0.5,0.5,0.6,1.0,0,0,,,,,,0.5,0,,,,,,"
    assert text[2] == "2,1,5,0.30000000000000004,0.5,0.5,0.5,0.5,0.5,,1.0,0,0,,,,,,0.5,0,,,,,,"
    header, first, _ = (folders.metrics / "clients.csv").read_text().splitlines()
    assert header.endswith(",error,state_bytes,val_loss,val_recall,val_specificity,site,epsilon")
    assert first == "1,0,w,ok,5,0.30000000000000004,0.5,0.6,0.0,0.0,0.0,0,0,,0,0.7,0.5,0.25,,"
    header, *rows = (folders.metrics / "classes.csv").read_text().splitlines()
    assert header.startswith("round,class,name,num_examples,precision,recall,f1_score,roc_auc,")
    assert rows[0] == "1,0,normal,1,0.25,1.0,0.4,0.5,0.25,0.0,0.0"  # equal scores: all are called 0
    assert [row[:13] for row in rows[1:4]] == ["1,1,benign,1,", "1,2,malignant", "2,0,normal,1,"]


def test_best_is_the_first_round_of_the_highest_auc(folders: RunFolders) -> None:
    for round_number, auc in enumerate([None, 0.6, 0.8, 0.8, 0.7], start=1):
        state = commit(folders, round_number, auc)
    assert (state.best_round, state.best_roc_auc, state.round) == (3, 0.8, 5)
    best = load_arrays(folders, state.best_weights_file, SCHEMA)
    np.testing.assert_array_equal(best[0], weights_of(3)[0])
    kept = {file.name for file in folders.models.glob("weights-*")}
    assert kept == {state.weights_file, state.best_weights_file}


def test_the_average_over_the_rounds_is_one_more_candidate(folders: RunFolders) -> None:
    aucs = [(0.6, 0.6), (0.7, 0.8), (0.8, 0.8), (0.7, 0.7)]  # of equal ones, that of the round
    expected = [(1, "weights-0001"), (2, "ema-0002"), (2, "ema-0002"), (2, "ema-0002")]
    for round_number, ((auc, of_ema), best) in enumerate(zip(aucs, expected, strict=True), 1):
        state = commit(folders, round_number, auc, ema_auc=of_ema)
        assert (state.best_round, state.best_weights_file.rpartition("-")[0]) == best
    assert load_arrays(folders, state.best_weights_file, SCHEMA)[0][0] == 12
    assert read_state(folders)[0] == state
    kept = {file.name for file in folders.models.glob("*.safetensors")}
    assert kept == {state.weights_file, state.best_weights_file, state.ema_file}
    rows = (folders.metrics / "rounds.csv").read_text().splitlines()
    assert rows[0].endswith(",ema_val_loss,ema_roc_auc,epsilon,weights_sha256")
    assert rows[2].endswith(",0.5,0.8,,")


def test_of_equal_aucs_the_lower_loss_is_best(folders: RunFolders) -> None:
    for round_number, loss in enumerate([0.9, 0.2, 0.1, 0.3], start=1):
        state = commit(folders, round_number, 0.8 if round_number == 1 else 1.0, loss=loss)
    assert (state.best_round, state.best_roc_auc, state.best_val_loss) == (3, 1.0, 0.1)
    assert not has_lost_patience(state, 2)
    assert has_lost_patience(state, 1)


def chosen(
    folders: RunFolders, aucs: list[float | None], choice: str, ema_aucs: list[float] | None = None
) -> list[tuple[int | None, str]]:
    """Return the best round and the kind of its file after each round."""
    best = []
    resume_run(folders, order(0, {"CHOICE": choice}), SCHEMA)  # its settings count from here on
    for number, auc in enumerate(aucs, 1):
        ema_auc = ema_aucs[number - 1] if ema_aucs else None
        state = commit(folders, number, auc, settings={"CHOICE": choice}, ema_auc=ema_auc)
        best.append((state.best_round, state.best_weights_file.partition("-")[0]))
    return best


LUCKY = [0.9, 0.5, 0.6, 0.6, 0.9, 0.5, 0.7, 0.8, 0.7, None, 0.9]


def test_one_lucky_round_stays_the_best(folders: RunFolders) -> None:
    assert [number for number, _ in chosen(folders, LUCKY, "best")] == [1] * 11


def test_a_smoothed_choice_has_means_of_three_rounds_in_the_last_third(folders: RunFolders) -> None:
    # Of 9 planned rounds: .667 (round 6), .7, .667, .733 (9), and none with the undefined round.
    rounds = [number for number, _ in chosen(folders, LUCKY, "smoothed")]
    assert rounds == [1, 2, 3, 4, 5, 6, 7, 7, 9, 9, 9]


@pytest.mark.parametrize(("epochs", "first"), [(6, 4), (9, 6), (12, 8), (24, 16)])
def test_a_smoothed_choice_is_from_two_thirds_of_the_rounds_on(
    folders: RunFolders, epochs: int, first: int
) -> None:
    smoothed = {"CHOICE": "smoothed", "EPOCHS": epochs}
    for number in range(1, epochs + 1):  # the highest means are just before
        state = commit(folders, number, 0.9 if number < first else 0.5, settings=smoothed)
    assert state.best_round == first


def test_a_round_without_a_mean_does_not_replace_an_earlier_one(folders: RunFolders) -> None:
    rounds = [number for number, _ in chosen(folders, [0.6, 0.6, 0.6, None, 0.7], "smoothed")]
    assert rounds == [1, 2, 3, 3, 3]


def test_a_smoothed_choice_includes_the_average_over_the_rounds(folders: RunFolders) -> None:
    best = chosen(folders, [0.5, 0.6, 0.7, 0.6, 0.6], "smoothed", [0.6, 0.6, 0.6, 0.8, 0.7])
    assert best == [(1, "ema"), (2, "ema"), (3, "weights"), (4, "ema"), (5, "ema")]


def test_a_smoothed_choice_is_resumed(folders: RunFolders) -> None:
    smoothed = {"CHOICE": "smoothed", "EPOCHS": 6}
    resume_run(folders, order(0, smoothed), SCHEMA)  # its settings count from here on
    for number, auc in enumerate([0.1, 0.1, 0.9, 0.5, 0.6, 0.1], start=1):
        state = commit(folders, number, auc, settings=smoothed)
        assert resume_run(folders, order(0, smoothed), SCHEMA)[0] == state
    assert (state.best_round, state.best_roc_auc) == (5, (0.9 + 0.5 + 0.6) / 3)
    other, _ = resume_run(folders, order(0), SCHEMA)  # with --force: single AUCs and means are not compared
    assert (other.best_round, other.best_weights_file) == (None, None)


def test_the_state_of_an_older_run_keeps_its_best_round_at_equal_auc(folders: RunFolders) -> None:
    commit(folders, 1, 1.0)
    content = json.loads(folders.state.read_bytes())
    del content["state"]["best_val_loss"]
    folders.state.write_text(json.dumps(content))
    state, _ = read_state(folders)
    assert state.best_val_loss is None
    assert not is_better(1.0, 0.1, state)


def test_a_round_that_does_not_follow_is_refused(folders: RunFolders) -> None:
    commit(folders, 1, 0.6)
    before = content(folders)
    for number, before_it in ((3, 2), (1, 0)):
        with pytest.raises(RecordError, match=f"at round 1, expected {before_it}: another process"):
            commit(folders, number, 0.9)
    assert content(folders) == before


def test_resume_drops_what_the_state_does_not_name(folders: RunFolders) -> None:
    commit(folders, 1, 0.6)
    before = content(folders)
    state_file = folders.state.read_bytes()
    commit(folders, 2, 0.9)
    folders.state.write_bytes(state_file)  # as if killed before the last step
    for name, data in before.items():
        if name.startswith(("weights-", "tables-")):
            write_whole(folders.models / name, data)
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


def momentum(folders: RunFolders) -> float | None:
    state = server_state(folders, SCHEMA)
    return float(state[0][0]) if state else None


def test_the_server_state_is_kept_from_round_to_round(folders: RunFolders) -> None:
    assert momentum(folders) is None
    for round_number in (1, 2, 3):
        commit(folders, round_number, 0.6, None, save_momentum(folders, round_number))
        assert momentum(folders) == 10 + round_number
        resume_run(folders, order(0), SCHEMA)
        assert momentum(folders) == 10 + round_number
    assert [file.name[:11] for file in folders.models.glob("server-*")] == ["server-0003"]


@pytest.mark.parametrize(
    "setting",
    ["STRATEGY", "UPDATE_DTYPE", "BATCH_NORM", "OPTIMIZER_STATE", "MOMENTUM", "NUM_CLIENTS", "PARTITION"],
)
def test_forced_other_settings_drop_the_states(folders: RunFolders, setting: str) -> None:
    commit(folders, 1, 0.6, save_states(folders, 1, 0, 1), save_momentum(folders, 1))
    changed = replace(order(0), settings={"EPOCHS": 9, setting: "another"})
    state, _ = resume_run(folders, changed, SCHEMA)
    assert momentum(folders) is None
    assert state.state_files == {}
    assert [file.name for file in folders.models.glob("*.safetensors")] == [state.weights_file]
