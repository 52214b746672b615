"""The record of a round: its commit, the partition, and the deletion of what is no longer needed."""

import contextlib
from typing import Any

from helpers.evaluation.metrics import Evaluation
from helpers.federated.messages import RoundOrder, States
from helpers.federated.results import Averaged, RoundResult, RunState
from helpers.federated.rounds import has_next_round
from helpers.federated.weights import Weights
from helpers.run_records import journal
from helpers.run_records.checkpoint import load_arrays, read_state
from helpers.run_records.run_log import commit_round
from helpers.run_records.tables import PARTITION_COLUMNS, class_rows
from helpers.weight_store.store import StoreError, put_arrays
from preprocessing.feed.partitioning import partition, resolve_partition, sites_of_rows
from tasks.client_states import put_shared_state, put_states
from tasks.privacy_account import account
from tasks.run_context import RunContext, keys_of_weights


def record_round(
    context: RunContext,
    order: RoundOrder,
    averaged: Averaged,
    weights: Weights,
    evaluation: Evaluation,
    sites: list[dict[str, Any]] | None = None,
    ema: Weights | None = None,
) -> RoundResult:
    """Commit a round and return its result.

    Args:
        context, order: of the round.
        averaged: the round before its evaluation.
        weights: the new global weights, those that `averaged` refers to.
        evaluation: of the model with these weights on the validation images.
        sites: Site messages of the run, where its clients are sites.
        ema: the average over the rounds, with EMA_DECAY.

    Raises:
        RecordError: the records could not be written; the round has not happened.
    """
    privacy = account(context, order, averaged.clients, sites) if context.config.DP != "off" else {}
    row = {**averaged.row, **evaluation.metrics, **privacy, "weights_sha256": averaged.weights["sha256"]}
    classes = class_rows(evaluation, context.config.class_names) if evaluation.by_class else []
    rows = {
        "rounds.csv": [row],
        "clients.csv": averaged.clients,
        "classes.csv": [{"round": order.round, **values} for values in classes],
        "partition.csv": [] if sites else new_partition(context, order),
    }
    state = commit_round(context.folders, order, context.instance.schema, weights, averaged, rows, sites, ema)
    states: States = {}
    if has_next_round(state, context.config.EPOCHS, context.config.PATIENCE):
        states = order.states | averaged.states
        if context.config.strategy.shares_state:
            states |= put_shared_state(context, state)
    return RoundResult(state.to_message(), averaged.weights, row, averaged.clients, states)


def recorded_round(context: RunContext, order: RoundOrder, state: RunState) -> RoundResult:
    """Return the result of a round that an earlier attempt has committed, though its answer did not arrive.

    Args:
        context, order: of the round.
        state: after it.

    Raises:
        RecordError: the records could not be read.
    """
    journal.write_csv_files(context.folders, state.tables)
    (row,), clients = (
        [
            row
            for row in journal.read_rows(context.folders, state.tables.get(name))
            if row["round"] == order.round
        ]
        for name in ("rounds.csv", "clients.csv")
    )
    weights = load_arrays(context.folders, state.weights_file, context.instance.schema)
    key = context.key("recorded", order.round, order.attempt)
    reference = put_arrays(context.store, key, context.instance.names, weights)
    is_last = not has_next_round(state, context.config.EPOCHS, context.config.PATIENCE)
    states = {} if is_last else put_states(context, state)
    return RoundResult(state.to_message(), reference.to_message(), row, clients, states)


def forget(context: RunContext, order: RoundOrder, clients: list[dict[str, Any]], states: States) -> None:
    """Delete old global weights and all that the clients (rows of clients.csv) stored, except `states`.

    Until the round's answer is accepted it may be aggregated once more, and needs them.
    """
    keys = {
        context.key(kind, order.round, row["client"], row["attempt"], site=row["site"])
        for row in clients
        for kind in ("update", "scores", "state")
    }
    keys |= {state["key"] for state in order.states.values()}
    keys.update(keys_of_weights(context, order.round - 2))
    with contextlib.suppress(StoreError):  # they expire
        context.store.delete(sorted(keys - {state["key"] for state in states.values()}))


def new_partition(context: RunContext, order: RoundOrder) -> list[dict[str, Any]]:
    """Return the rows of partition.csv, in the order of the training rows.

    There are none where the clients have the rows of the round before, that is, are as many.
    """
    state, _ = read_state(context.folders)
    return [] if state.partition_clients == order.num_clients else _partition_rows(context, order)


def _partition_rows(context: RunContext, order: RoundOrder) -> list[dict[str, Any]]:
    data, config = context.data, context.config
    shares = partition(data, config, order.num_clients)
    owner = {int(row): client for client, rows in enumerate(shares) for row in rows}
    files, labels = data.files("train"), data.labels("train").tolist()
    patients = data.patients("train") if data.has_patients else [None] * len(files)
    sites = sites_of_rows(data, config) if resolve_partition(data, config) == "site" else [None] * len(files)
    return [
        dict(zip(PARTITION_COLUMNS, (order.round, files[row], owner[row], *values), strict=True))
        for row, values in enumerate(zip(labels, patients, sites, strict=True))
    ]
