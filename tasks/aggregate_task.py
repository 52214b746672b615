"""The chord's callback: the clients' updates become the new global model, evaluated and recorded."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from celery_app import app, worker_session
from helpers.evaluation.metrics import Metrics, binary_metrics
from helpers.federated.aggregation import update_factor, weighted_mean
from helpers.federated.messages import ClientReply, Reference, RoundOrder, RoundResult
from helpers.federated.weights import ArraySpec, SchemaError, Weights, check_weights
from helpers.local_training.trainer import predict_scores
from helpers.run_records.rows import client_row, round_row
from helpers.run_records.run_log import commit_round
from helpers.weight_store.store import StoreError, get_arrays, put_arrays
from preprocessing.input_pipeline import evaluation_batches
from tasks.run_context import RunContext


@app.task(name="tasks.aggregate", ignore_result=True)
def aggregate(replies: Any, message: dict[str, Any]) -> None:
    """Aggregate a round; see `RoundOrder` and `RoundResult`.

    Args:
        replies: the header tasks' results; a chord of one task hands over a single result.
        message: the order.
    """
    order = RoundOrder.from_message(message)
    listed = replies if isinstance(replies, list) else [replies]
    received = [ClientReply.from_message(reply) for reply in listed]
    worker_session().carry_out(order, lambda: aggregate_round(order, received).to_message())


def aggregate_round(order: RoundOrder, replies: list[ClientReply]) -> RoundResult:
    """Average, evaluate, store and commit one round.

    Raises:
        ValueError: no client's update can be used.
    """
    context = RunContext.of(order)
    by_client = {reply.client: reply for reply in replies}
    counted = [by_client[client] for client in order.clients]
    weights = weighted_mean(_usable_updates(context, counted))
    context.instance.model.set_weights(weights)
    batches = evaluation_batches(context.data.images("val"), context.config.EVALUATION_BATCH_SIZE)
    scores = predict_scores(context.instance, batches)
    labels = context.data.labels("val")
    clients = [client_row(reply, _client_metrics(context, reply, labels)) for reply in counted]
    name = context.key("weights", order.round)
    reference = put_arrays(context.store, name, context.instance.names, weights)
    metrics = round_row(order.round, counted, binary_metrics(labels, scores), time.time() - order.sent_at)
    state = commit_round(context.folders, order, context.instance.schema, weights, metrics, clients)
    _delete_used(context, order, counted)
    return RoundResult(state.to_message(), reference.to_message(), metrics, clients)


def _usable_updates(context: RunContext, replies: list[ClientReply]) -> Iterator[tuple[Weights, float]]:
    """Fetch one update at a time; a bad one marks its client failed, in place, and is left out."""
    schema = context.instance.schema
    for index, reply in enumerate(replies):
        if reply.update is None:
            continue
        try:
            weights = get_arrays(context.store, Reference.from_message(reply.update), schema)
            check_weights(weights, schema)
        except (StoreError, SchemaError) as error:
            replies[index] = replace(reply, status="failed", error=str(error), update=None)
            continue
        yield weights, update_factor(context.config.STRATEGY, reply.num_examples)


def _client_metrics(context: RunContext, reply: ClientReply, labels: Any) -> Metrics:
    if reply.predictions is None or reply.status == "failed":
        return {}
    schema = (ArraySpec("scores", "float32", (len(labels),)),)
    scores = get_arrays(context.store, Reference.from_message(reply.predictions), schema)[0]
    return binary_metrics(labels, scores)  # type: ignore[arg-type]


def _delete_used(context: RunContext, order: RoundOrder, replies: list[ClientReply]) -> None:
    used = [part["key"] for reply in replies for part in (reply.update, reply.predictions) if part]
    context.store.delete([*used, context.key("weights", order.round - 2)])
