"""The commit of a round, and the deletion of what it no longer needs."""

from typing import Any

from helpers.evaluation.metrics import Evaluation
from helpers.federated.messages import Averaged, RoundOrder, RoundResult, States
from helpers.federated.rounds import has_next_round
from helpers.federated.weights import Weights
from helpers.run_records.rows import class_rows
from helpers.run_records.run_log import commit_round
from tasks.run_context import RunContext


def record_round(
    context: RunContext,
    order: RoundOrder,
    averaged: Averaged,
    weights: Weights,
    evaluation: Evaluation,
    sites: list[dict[str, Any]] | None = None,
) -> RoundResult:
    """Commit a round and return its result.

    Args:
        context, order: of the round.
        averaged: the round before its evaluation.
        weights: the new global weights, those that `averaged` refers to.
        evaluation: of the model with these weights on the validation images.
        sites: Site messages of the run, where its clients are sites.

    Raises:
        RecordError: the records could not be written; the round has not happened.
    """
    row = {**averaged.row, **evaluation.metrics}
    classes = class_rows(evaluation, context.config.class_names)
    state = commit_round(
        context.folders, order, context.instance.schema, weights, row, averaged, classes, sites
    )
    states: States = {}
    if has_next_round(state, context.config.EPOCHS, context.config.PATIENCE):
        states = order.states | averaged.states
        if context.config.strategy.shares_state:
            from tasks.client_states import put_shared_state

            states |= put_shared_state(context, state)
    forget(context, order, averaged.clients, states)
    return RoundResult(state.to_message(), averaged.weights, row, averaged.clients, states)


def forget(context: RunContext, order: RoundOrder, clients: list[dict[str, Any]], states: States) -> None:
    """Delete old global weights and all that the clients (rows of clients.csv) stored, except `states`."""
    keys = {
        context.key(kind, order.round, row["client"], row["attempt"])
        for row in clients
        for kind in ("update", "scores", "state")
    }
    keys |= {state["key"] for state in order.states.values()}
    keys |= {context.key("weights", order.round - 2)}
    context.store.delete(sorted(keys - {state["key"] for state in states.values()}))
