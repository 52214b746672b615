"""Log of a run: its records are started, extended by each round, and resumed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from helpers.federated.messages import Order, RoundOrder, StartOrder
from helpers.federated.results import Averaged, RunState
from helpers.federated.weights import Schema, Weights
from helpers.global_config import Config
from helpers.run_records import checkpoint, fence, journal
from helpers.run_records.files import RecordError, RunFolders, remove

STATE_SETTINGS = (
    "STRATEGY",
    "UPDATE_DTYPE",
    "BATCH_NORM",
    "OPTIMIZER_STATE",
    "OPTIMIZER",
    "MOMENTUM",
    "TRAIN_BODY",
)
"""Settings that decide what clients and server keep between rounds."""


SMOOTHED_ROUNDS = 3
"""Number of rounds over which `CHOICE=smoothed` takes the mean: a round and those before it."""

NOT_NEXT = (
    "{} is at round {}, expected {}: another process has changed this run. End the other one, then continue "
    "this run with --resume"
)

PARTITION_SETTINGS = ("PARTITION", "SEED", "DIRICHLET_ALPHA", "SITE_COLUMN", "NUM_CLIENTS", "num_workers")
"""The settings that decide which client has which rows."""


def facts_of(order: Order) -> dict[str, Any]:
    """Return what must stay the same for a run to resume: settings, data and versions."""
    return {"settings": order.settings, "data_digest": order.data_digest, "versions": order.versions}


def begin_run(folders: RunFolders, order: StartOrder, schema: Schema, weights: Weights) -> RunState:
    """Start the records of a run. Earlier content of its folders is deleted, unless it has a state.

    An earlier attempt of the same start may have left a state before the first round, which is replaced.

    Raises:
        RecordError: a run of this name has finished a round and the order does not say overwrite, or the
            folders cannot be written.
    """
    if not folders.state.exists() or order.overwrite:
        _clear(folders)
    elif (done := checkpoint.read_state(folders)[0].round) > 0:
        raise RecordError(
            f"{folders.state}: a run of this name has finished round {done}; choose another name, --resume "
            "it, or --overwrite to replace it"
        )
    file = checkpoint.save_weights(folders, 0, schema, weights)
    state = RunState(order.run, 0, file, None, None, None)
    checkpoint.commit(folders, state, facts_of(order))
    return state


def _clear(folders: RunFolders) -> None:
    """Delete what is in the folders of a run, first the state that names files, except this task's place."""
    remove(folders.state)
    for folder in (folders.models, folders.metrics):
        for path in folder.glob("*"):
            if not path.name.startswith(fence.PREFIX):
                remove(path)


def resume_run(folders: RunFolders, order: Order, schema: Schema) -> tuple[RunState, Weights]:
    """Return the state and global weights after the last committed round; drop rows of later rounds.

    Raises:
        RecordError: the records are missing or damaged.
    """
    state, facts = checkpoint.read_state(folders)
    weights = checkpoint.load_arrays(folders, state.weights_file, schema)
    state = replace(state, tables=journal.records_to_resume(folders, state))
    if order.settings.get("DP") == "example":
        state = replace(state, num_resumes=state.num_resumes + 1)
    before = facts.get("settings", {})
    is_changed = facts.get("data_digest") != order.data_digest
    if is_changed or any(before.get(name) != order.settings.get(name) for name in PARTITION_SETTINGS):
        # Only with --force: rows change owners, and states of clients belong to their rows.
        state = replace(state, partition_clients=None, **checkpoint.NO_STATES)
    defaults = {name: getattr(Config, name) for name in STATE_SETTINGS}  # settings may be new since then
    was, now = defaults | before, defaults | order.settings
    if any(was[name] != now[name] for name in STATE_SETTINGS):
        # Only with --force: states kept under other settings would mislead this run.
        state = replace(state, **checkpoint.NO_STATES)
    if before.get("CHOICE", Config.CHOICE) != order.settings.get("CHOICE", Config.CHOICE):
        state = replace(state, **checkpoint.NO_BEST)  # only with --force: means and single AUCs differ
    checkpoint.commit(folders, state, facts_of(order))  # --force may have changed them
    journal.write_csv_files(folders, state.tables)
    return state, weights


def commit_round(
    folders: RunFolders,
    order: RoundOrder,
    schema: Schema,
    weights: Weights,
    averaged: Averaged,
    rows: journal.Rows,
    sites: list[dict[str, Any]] | None = None,
    ema: Weights | None = None,
) -> RunState:
    """Write a finished round: weights, rows, then the state, which commits them, and CSV files.

    Args:
        folders, order: of the run and round.
        schema, weights: the new global weights.
        averaged: names the files of new states.
        rows: of this round, by CSV file; `rounds.csv` has one.
        sites: Site messages of the run, where its clients are sites.
        ema: average of the global weights over the rounds, with EMA_DECAY.

    Raises:
        RecordError: a file could not be written, or the records are not at the previous round.
    """
    [metrics] = rows["rounds.csv"]
    state, facts = checkpoint.read_state(folders)
    if state.round != order.round - 1:
        raise RecordError(NOT_NEXT.format(folders.state, state.round, order.round - 1))
    state = replace(
        state,
        round=order.round,
        weights_file=checkpoint.save_weights(folders, order.round, schema, weights),
        ema_file=None if ema is None else checkpoint.save_ema(folders, order.round, schema, ema),
        tables=journal.add_rows(folders, order.round, state.tables, rows),
        state_files={**state.state_files, **averaged.state_files},
        server_file=averaged.server_file,
        sites=sites or [],
        partition_clients=None if sites else order.num_clients,
        budget_is_spent=metrics.get("budget_is_spent", False),
    )
    if order.settings.get("CHOICE") == "smoothed":
        until_now = journal.read_rows(folders, state.tables["rounds.csv"])
        state, metrics = smoothed(state, until_now, order.settings["EPOCHS"])
    for file, prefix in ((state.weights_file, ""), (state.ema_file, "ema_")):
        auc, loss = metrics.get(f"{prefix}roc_auc"), metrics.get(f"{prefix}val_loss")
        if is_better(auc, loss, state):
            state = replace(
                state, best_round=order.round, best_roc_auc=auc, best_val_loss=loss, best_weights_file=file
            )
    checkpoint.commit(folders, state, facts)
    journal.write_csv_files(folders, state.tables)
    return state


def smoothed(
    state: RunState, rounds: Sequence[Mapping[str, Any]], epochs: int
) -> tuple[RunState, dict[str, Any]]:
    """Return what `CHOICE=smoothed` compares: the best so far, and the last row with means of the AUCs.

    The means are over SMOOTHED_ROUNDS rounds. Rounds before the first such mean, or before two thirds of
    the planned ones, lose to any later one.

    Args:
        state: after the last round.
        rounds: rows of rounds.csv, up to the last round.
        epochs: number of planned rounds.
    """
    means = {}
    for name in ("roc_auc", "ema_roc_auc"):
        aucs = [row.get(name) for row in rounds[-SMOOTHED_ROUNDS:]]
        known = [auc for auc in aucs if auc is not None]
        means[name] = sum(known) / len(known) if len(known) == len(aucs) else None
    if state.round <= max(SMOOTHED_ROUNDS, epochs - epochs // 3) and means["roc_auc"] is not None:
        state = replace(state, **checkpoint.NO_BEST)
    return state, {**rounds[-1], **means}


def is_better(auc: float | None, loss: float | None, state: RunState) -> bool:
    """Return whether a model is better than the best: by validation AUC, of equal AUCs by lower loss."""
    if auc is None or state.best_roc_auc is None:
        return auc is not None
    if auc != state.best_roc_auc:
        return auc > state.best_roc_auc
    return loss is not None and state.best_val_loss is not None and loss < state.best_val_loss


def server_state(folders: RunFolders, schema: Schema) -> Weights:
    """Return the server's state after the last finished round; empty without one, as before the first round.

    Args:
        folders: of the run.
        schema: of the server's state.

    Raises:
        RecordError: the records are missing or damaged.
    """
    file = checkpoint.read_state(folders)[0].server_file
    return [] if file is None else checkpoint.load_arrays(folders, file, schema)
