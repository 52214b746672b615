"""The chord's callback: the clients' updates become the new global model, which is evaluated and recorded."""

from typing import Any

from celery_app import app, worker_session
from helpers.evaluation.metrics import Evaluation, evaluate
from helpers.federated.messages import RoundOrder
from helpers.federated.norm_clipping import clip_updates
from helpers.federated.quorum import QuorumError
from helpers.federated.replies import read_replies
from helpers.federated.results import Averaged, RoundResult
from helpers.federated.strategies.base import ServerInputs
from helpers.federated.weights import Schema, Weights
from helpers.local_training.trainer import predict_scores
from helpers.run_records.checkpoint import read_state, save_server_state
from helpers.run_records.run_log import server_state
from helpers.run_records.tables import round_row
from helpers.weight_store.store import put_arrays
from preprocessing.feed.input_pipeline import evaluation_batches
from tasks.round_ema import add_ema
from tasks.round_record import forget, record_round, recorded_round
from tasks.run_context import RoundClock, RunContext
from tasks.update_intake import UpdateIntake


@app.task(name="tasks.aggregate", ignore_result=True)
def aggregate(replies: Any, message: dict[str, Any]) -> None:
    """Aggregate a round; see `RoundOrder` and `RoundResult`.

    Args:
        replies: results of the header's tasks.
        message: the order.
    """
    answer = worker_session().run_order(
        RoundOrder, message, lambda order: aggregate_round(order, replies).to_message()
    )
    if answer is not None:  # it was accepted
        order = RoundOrder.from_message(message)
        forget(RunContext.of(order), order, answer["clients"], answer["states"])


def aggregate_round(order: RoundOrder, replies: Any) -> RoundResult:
    """Average, evaluate and record one round.

    Raises:
        QuorumError: too few updates can be used.
        RecordError: the records could not be written; the round has not happened.
    """
    context, clock = RunContext.of(order), RoundClock(order)
    if (state := read_state(context.folders)[0]).round == order.round:
        return recorded_round(context, order, state)
    intake = UpdateIntake(context, order, read_replies(order.round, order.clients, replies))
    weights, averaged = average(context, order, intake, clock)
    evaluation = evaluate_weights(context, weights)
    ema = add_ema(context, order, averaged, weights, evaluate_weights) if context.config.EMA_DECAY else None
    return record_round(context, order, averaged, weights, evaluation, ema=ema)


def average(
    context: RunContext, order: RoundOrder, intake: UpdateIntake, clock: RoundClock
) -> tuple[Weights, Averaged]:
    """Combine the updates, store the new global weights and return them with what is to be recorded.

    Raises:
        QuorumError: too few updates, for MIN_CLIENTS or for the strategy.
        SchemaError: the server's step left the range of the weights.
        RecordError: the server's state could not be read or written.
    """
    weights, server_file = combine(context, order, intake)
    key = context.key("weights", order.round, order.attempt)
    reference = put_arrays(context.store, key, context.instance.names, weights)
    row = round_row(order.round, intake.replies, clock.now(), clock.started_at)
    return weights, Averaged(
        reference.to_message(), row, intake.rows, intake.states, intake.state_files, server_file
    )


def combine(context: RunContext, order: RoundOrder, intake: UpdateIntake) -> tuple[Weights, str | None]:
    """Return the new global weights by STRATEGY, and the file of the server's state, if it has one."""
    config, model, trainable = context.config, context.instance.schema, context.is_shared
    updates = intake.updates()
    if config.MAX_UPDATE_NORM:
        updates = clip_updates(updates, intake.global_weights, trainable, config.MAX_UPDATE_NORM)

    def state_schema() -> Schema:
        return config.strategy.server_schema(model, trainable)

    server = ServerInputs(
        model, trainable, num_clients=len(config.CLIENTS) or order.num_clients,
        num_participants=len(order.clients),
        read_global_weights=lambda: intake.global_weights,
        read_state=lambda: server_state(context.folders, state_schema()),
    )  # fmt: skip
    try:
        weights, state = config.strategy.aggregate(updates, server)
    except QuorumError as error:
        raise QuorumError(f"{error} ({intake.reasons})") from None
    return weights, save_server_state(context.folders, order.round, state_schema(), state) if state else None


def evaluate_weights(context: RunContext, weights: Weights) -> Evaluation:
    """Return the evaluation of the model with these weights on the validation images."""
    context.instance.model.set_weights(weights)
    batches = evaluation_batches(context.data.images("val"), context.config.EVALUATION_BATCH_SIZE)
    return evaluate(context.data.labels("val"), predict_scores(context.instance, batches))
