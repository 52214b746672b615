"""One client's training in a round: global weights in, local weights and validation scores out."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from celery.exceptions import Ignore
from numpy.typing import NDArray

from celery_app import app, worker_session
from helpers.federated.messages import TrainOrder
from helpers.federated.replies import ClientReply
from helpers.federated.weights import norm
from helpers.local_training.trainer import predict_scores, train_locally
from helpers.settings.errors import DIVERGED
from helpers.weight_store.store import put_arrays
from preprocessing.feed.input_pipeline import evaluation_batches, training_batches
from preprocessing.feed.partitioning import partition
from tasks.client_exchange import ClientExchange
from tasks.client_states import StatefulExchange
from tasks.dp_sgd import dp_sgd
from tasks.run_context import RoundClock, RunContext, StopCondition

Rows = NDArray[np.integer[Any]]
Scores = NDArray[np.float32]


@app.task(name="tasks.train")
def train(message: dict[str, Any]) -> dict[str, Any]:
    """Train one client for a round; see `TrainOrder` and `ClientReply`."""
    reply = worker_session().run_order(TrainOrder, message, lambda order: train_client(order).to_message())
    if reply is None:  # out of date or failed, which the job board knows
        raise Ignore()
    return reply


def train_client(order: TrainOrder) -> ClientReply:
    """Train a client on its rows of the training images."""
    return train_on_rows(order, _rows_of_client, _store_scores)


def train_on_rows(
    order: TrainOrder,
    choose_rows: Callable[[RunContext], Rows],
    report_scores: Callable[[RunContext, Scores], dict[str, Any]],
    stateful: Callable[[RunContext, TrainOrder], StatefulExchange] = StatefulExchange,
) -> ClientReply:
    """Train from the global weights, predict the validation images, store the update and reply.

    Args:
        order: the client and round.
        choose_rows: returns the client's rows of the training images.
        report_scores: returns the fields of the reply that report the local model's validation scores.
        stateful: makes the exchange where the run has a state plan.
    """
    clock, context = RoundClock(order), RunContext.of(order)
    config, data, rows = context.config, context.data, choose_rows(context)
    steps_an_epoch = -(-len(rows) // config.TRAIN_BATCH_SIZE)
    stop_condition = StopCondition(order, clock, config, num_batches=config.LOCAL_EPOCHS * steps_an_epoch)

    exchange = ClientExchange(context, order) if context.state_plan is None else stateful(context, order)
    seed = [config.SEED, order.round, order.client]
    feed, fit = dp_sgd(context, rows) if config.DP == "example" else (training_batches, train_locally)
    batches = feed(
        data.images("train"), data.labels("train"), rows, batch_size=config.TRAIN_BATCH_SIZE,
        epochs=config.LOCAL_EPOCHS, augmentation_name=config.AUGMENTATION, seed=seed,
    )  # fmt: skip
    local = fit(
        context.instance, exchange.fetch(), batches, learning_rate=config.learning_rate_in(order.round),
        seed=seed, go_on=stop_condition.go_on, **context.class_corrections(rows), **exchange.additions(),
    )  # fmt: skip
    if local.num_batches < stop_condition.num_batches:
        stop_condition.check(local.num_batches)
    if not math.isfinite(update_norm := norm(local.weights)):
        raise FloatingPointError(f"{DIVERGED}: its weights are not finite; lower BASE_LR")
    validation = evaluation_batches(data.images("val"), config.EVALUATION_BATCH_SIZE)
    scores = predict_scores(context.instance, validation)
    sent = {**exchange.deliver(local.weights, local.num_batches), **report_scores(context, scores)}
    whole_epochs, further_steps = divmod(local.num_batches, steps_an_epoch)
    return ClientReply(
        order.round, order.client, order.attempt, context.worker,
        status="ok" if local.num_batches == stop_condition.num_batches else "partial",
        num_examples=whole_epochs * len(rows) + min(further_steps * config.TRAIN_BATCH_SIZE, len(rows)),
        num_steps=local.num_batches, train_loss=local.loss, threads=worker_session().threads,
        started_at=clock.started_at, seconds=clock.now() - clock.started_at, **sent,
        update_norm=update_norm,
    )  # fmt: skip


def _rows_of_client(context: RunContext) -> Rows:
    order: Any = context.order
    return partition(context.data, context.config, order.num_clients)[order.client]


def _store_scores(context: RunContext, scores: Scores) -> dict[str, Any]:
    order: Any = context.order
    key = context.key("scores", order.round, order.client, order.attempt)
    return {"predictions": put_arrays(context.store, key, ["scores"], [scores]).to_message()}
