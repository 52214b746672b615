"""One client's part in a round: global weights in, local weights and validation scores out."""

from typing import Any

import numpy as np
from celery.exceptions import Ignore

from celery_app import app, worker_session
from helpers.evaluation.tallies import tally_of
from helpers.federated.messages import ClientReply, TrainOrder
from helpers.federated.weights import Weights
from helpers.local_training.trainer import LocalUpdate, predict_scores, train_locally
from preprocessing.feed.input_pipeline import evaluation_batches, training_batches
from preprocessing.feed.partitioning import class_weight, partition
from tasks.client_exchange import ClientExchange
from tasks.round_clock import RoundClock, StopCondition
from tasks.run_context import RunContext


@app.task(name="tasks.train")
def train(message: dict[str, Any]) -> dict[str, Any]:
    """Train one client for a round; see `TrainOrder` and `ClientReply`."""
    answer = worker_session().run_order(TrainOrder, message, lambda order: train_client(order).to_message())
    if answer is None:
        raise Ignore()
    return answer


def train_client(order: TrainOrder) -> ClientReply:
    """Train on the client's rows, predict the validation split, store both and reply."""
    clock = RoundClock(order)
    context = RunContext.of(order)
    config, data, instance = context.config, context.data, context.instance
    rows = (
        np.arange(len(data.labels("train")))
        if order.site
        else partition(data, config, order.num_clients)[order.client]
    )
    batches_an_epoch = -(-len(rows) // config.TRAIN_BATCH_SIZE)
    stop_condition = StopCondition(order, clock, config, num_batches=config.LOCAL_EPOCHS * batches_an_epoch)

    exchange = ClientExchange(context, order)
    weights = exchange.fetch()
    update = _train(context, order, weights, exchange.corrections(), rows, stop_condition)
    stop_condition.check(update.num_batches)
    scores = predict_scores(instance, evaluation_batches(data.images("val"), config.EVALUATION_BATCH_SIZE))
    told: dict[str, Any] = {}
    if order.site:  # a client's own model is of little interest elsewhere: counts will do
        told["tally"] = tally_of(data.labels("val"), scores).to_message()
    delivered = exchange.deliver(update.weights, None if order.site else scores, update.num_batches)
    whole_epochs, batches_more = divmod(update.num_batches, batches_an_epoch)
    return ClientReply(
        round=order.round,
        client=order.client,
        attempt=order.attempt,
        worker=context.worker,
        status="ok" if update.num_batches == stop_condition.num_batches else "partial",
        num_examples=whole_epochs * len(rows) + min(batches_more * config.TRAIN_BATCH_SIZE, len(rows)),
        train_loss=update.loss,
        threads=worker_session().threads,
        started_at=clock.started_at,
        seconds=clock.now() - clock.started_at,
        **delivered,
        **told,
    )


def _train(
    context: RunContext,
    order: TrainOrder,
    weights: Weights,
    corrections: dict[str, np.ndarray],
    rows: np.ndarray,
    stop_condition: StopCondition,
) -> LocalUpdate:
    config, data = context.config, context.data
    seed = [config.SEED, order.round, order.client]
    batches = training_batches(
        data.images("train"),
        data.labels("train"),
        rows,
        batch_size=config.TRAIN_BATCH_SIZE,
        epochs=config.LOCAL_EPOCHS,
        augmentation_name=config.AUGMENTATION,
        seed=seed,
    )
    return train_locally(
        context.instance,
        weights,
        batches,
        learning_rate=config.learning_rate,
        seed=seed,
        class_weight=class_weight(config.CLASS_WEIGHT, data.labels("train"), rows, len(config.class_names)),
        corrections=corrections,
        go_on=stop_condition.go_on,
    )
