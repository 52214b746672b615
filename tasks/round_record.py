"""The record of a round: its commit, the partition, and the deletion of what is no longer needed."""

from typing import Any

from helpers.evaluation.metrics import Evaluation
from helpers.federated.messages import RoundOrder, States
from helpers.federated.results import Averaged, RoundResult
from helpers.federated.rounds import has_next_round
from helpers.federated.weights import Weights
from helpers.run_records.checkpoint import read_state
from helpers.run_records.run_log import commit_round
from helpers.run_records.tables import PARTITION_COLUMNS, class_rows
from preprocessing.feed.partitioning import partition, resolve_partition, sites_of_rows
from tasks.client_states import put_shared_state
from tasks.privacy_account import account
from tasks.run_context import RunContext


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
    forget(context, order, averaged.clients, states)
    return RoundResult(state.to_message(), averaged.weights, row, averaged.clients, states)


def forget(context: RunContext, order: RoundOrder, clients: list[dict[str, Any]], states: States) -> None:
    """Delete old global weights and all that the clients (rows of clients.csv) stored, except `states`."""
    keys = {
        context.key(kind, order.round, row["client"], row["attempt"], site=row["site"])
        for row in clients
        for kind in ("update", "scores", "state")
    }
    keys |= {state["key"] for state in order.states.values()}
    keys |= {context.key("weights", order.round - 2)}
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
