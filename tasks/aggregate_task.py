"""The chord's callback: the clients' updates become the new global model, evaluated and recorded."""

from typing import Any

from celery_app import app, worker_session
from helpers.evaluation.metrics import Evaluation, evaluate
from helpers.federated.messages import ClientReply, RoundOrder, RoundResult
from helpers.federated.replies import read_replies
from helpers.federated.sites.messages import Combined
from helpers.federated.weights import Weights
from helpers.local_training.trainer import predict_scores
from helpers.run_records.rows import round_row
from helpers.weight_store.store import put_arrays
from preprocessing.feed.input_pipeline import evaluation_batches
from tasks.combination import combine
from tasks.partition_log import record_partition
from tasks.round_clock import RoundClock
from tasks.round_record import record_round
from tasks.run_context import RunContext
from tasks.update_intake import UpdateIntake


@app.task(name="tasks.aggregate", ignore_result=True)
def aggregate(replies: Any, message: dict[str, Any]) -> None:
    """Aggregate a round; see `RoundOrder` and `RoundResult`.

    Args:
        replies: the header tasks' results; a chord of one task hands over a single result.
        message: the order.
    """
    listed = replies if isinstance(replies, list) else [replies]
    worker_session().run_order(
        RoundOrder,
        message,
        lambda order: aggregate_round(order, read_replies(order.round, order.clients, listed)).to_message(),
    )


def aggregate_round(order: RoundOrder, replies: list[ClientReply]) -> RoundResult | Combined:
    """Combine, evaluate, store and commit one round; where the sites have to evaluate it, only combine.

    Raises:
        QuorumError: too few updates can be used.
        RecordError: the records could not be written; the round has not happened.
    """
    context = RunContext.of(order)
    instance, clock = context.instance, RoundClock(order)
    intake = UpdateIntake(context, order, replies)
    weights, server_file = combine(context, order, intake)
    found = None if order.sites else _evaluation(context, weights)
    reference = put_arrays(context.store, context.key("weights", order.round), instance.names, weights)
    row = round_row(order.round, intake.replies, clock.now(), clock.started_at)
    combined = Combined(
        reference.to_message(), row, intake.rows, intake.states, intake.state_files, server_file
    )  # fmt: skip
    if found is None:
        return combined
    record_partition(context, order)
    return record_round(context, order, combined, weights, found)


def _evaluation(context: RunContext, weights: Weights) -> Evaluation:
    """How the model with these weights does on validation."""
    context.instance.model.set_weights(weights)
    batches = evaluation_batches(context.data.images("val"), context.config.EVALUATION_BATCH_SIZE)
    return evaluate(context.data.labels("val"), predict_scores(context.instance, batches))
