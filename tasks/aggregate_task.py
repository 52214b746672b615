"""The chord's callback: the clients' updates become the new global model, evaluated and recorded."""

from typing import Any

from celery_app import app, worker_session
from helpers.evaluation.metrics import binary_metrics
from helpers.federated.messages import ClientReply, RoundOrder, RoundResult
from helpers.federated.replies import read_replies
from helpers.federated.rounds import has_next_round
from helpers.local_training.trainer import predict_scores
from helpers.run_records.rows import round_row
from helpers.run_records.run_log import commit_round
from helpers.weight_store.store import put_arrays
from preprocessing.input_pipeline import evaluation_batches
from tasks.combination import combine
from tasks.division import record_division
from tasks.remembered import put_server_control
from tasks.round_clock import RoundClock
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
    worker_session().carry_out(
        RoundOrder,
        message,
        lambda order: aggregate_round(order, read_replies(order.round, order.clients, listed)).to_message(),
    )


def aggregate_round(order: RoundOrder, replies: list[ClientReply]) -> RoundResult:
    """Combine, evaluate, store and commit one round.

    Raises:
        QuorumError: too few updates can be used.
        RecordError: the records could not be written; the round has not happened.
    """
    context = RunContext.of(order)
    instance, clock = context.instance, RoundClock(order)
    intake = UpdateIntake(context, order, replies)
    weights, server_file = combine(context, order, intake)
    instance.model.set_weights(weights)
    batches = evaluation_batches(context.data.images("val"), context.config.EVALUATION_BATCH_SIZE)
    metrics = binary_metrics(context.data.labels("val"), predict_scores(instance, batches))
    reference = put_arrays(context.store, context.key("weights", order.round), instance.names, weights)
    row = round_row(order.round, intake.replies, metrics, clock.now(), clock.started_at)
    record_division(context, order)
    state = commit_round(
        context.folders, order, instance.schema, weights, row, intake.rows, intake.state_files, server_file
    )
    goes_on = has_next_round(state, context.config.EPOCHS, context.config.PATIENCE)
    states = order.states | intake.states | put_server_control(context, state) if goes_on else {}
    intake.forget(states)
    return RoundResult(state.to_message(), reference.to_message(), row, intake.rows, states)
