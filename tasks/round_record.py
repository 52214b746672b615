"""A round that is averaged and evaluated goes into the records, and what it needed is deleted."""

from typing import Any

from helpers.evaluation.metrics import Evaluation
from helpers.federated.messages import RoundOrder, RoundResult, States
from helpers.federated.rounds import has_next_round
from helpers.federated.sites.messages import Combined
from helpers.federated.weights import Weights
from helpers.run_records.rows import class_rows
from helpers.run_records.run_log import commit_round
from tasks.client_states import put_server_control
from tasks.run_context import RunContext


def record_round(
    context: RunContext, order: RoundOrder, combined: Combined, weights: Weights, found: Evaluation
) -> RoundResult:
    """Commit a round.

    Args:
        context, order: of the round.
        combined: what the aggregation made of the replies.
        weights: the new global weights, which `combined` refers to.
        found: what the model that has them is worth on validation.

    Raises:
        RecordError: the records could not be written; the round has not happened.
    """
    row = {**combined.row, **found.metrics}
    state = commit_round(
        context.folders, order, context.instance.schema, weights, row, combined.clients,
        combined.state_files, combined.server_file, class_rows(found, context.config.class_names),
    )  # fmt: skip
    goes_on = has_next_round(state, context.config.EPOCHS, context.config.PATIENCE)
    states = order.states | combined.states | put_server_control(context, state) if goes_on else {}
    forget(context, order, combined.clients, states)
    return RoundResult(state.to_message(), combined.weights, row, combined.clients, states)


def forget(context: RunContext, order: RoundOrder, clients: list[dict[str, Any]], states: States) -> None:
    """Delete what the clients, rows of clients.csv, stored but for `states`, and old global weights."""
    keys = {
        context.key(kind, order.round, row["client"], row["attempt"])
        for row in clients
        for kind in ("update", "scores", "state")
    }
    keys |= {state["key"] for state in order.states.values()}
    keys |= {context.key("weights", order.round - 2)}
    context.store.delete(sorted(keys - {state["key"] for state in states.values()}))
