"""One client's part in a round: global weights in, local weights and validation scores out."""

from typing import Any

import numpy as np
from celery.exceptions import Ignore

from celery_app import app, worker_session
from helpers.federated.messages import ClientReply, Reference, TrainOrder
from helpers.federated.weights import Weights
from helpers.local_training.trainer import LocalUpdate, predict_scores, train_locally
from helpers.weight_store.store import get_arrays, put_arrays
from preprocessing.input_pipeline import evaluation_batches, training_batches
from preprocessing.partitioning import class_weight, partition_rows
from tasks.round_clock import Attendance, RoundClock
from tasks.run_context import RunContext


@app.task(name="tasks.train")
def train(message: dict[str, Any]) -> dict[str, Any]:
    """Train one client for a round; see `TrainOrder` and `ClientReply`."""
    answer = worker_session().carry_out(TrainOrder, message, lambda order: train_client(order).to_message())
    if answer is None:
        raise Ignore()
    return answer


def train_client(order: TrainOrder) -> ClientReply:
    """Train on the client's rows, predict the validation split, store both and reply."""
    clock = RoundClock(order)
    context = RunContext.of(order)
    config, data, instance = context.config, context.data, context.instance
    rows = partition_rows(data.labels("train"), config.num_workers, config.SEED)[order.client]
    attendance = Attendance(order, clock, config, num_batches=-(-len(rows) // config.TRAIN_BATCH_SIZE))

    began = clock.now()
    weights_in = Reference.from_message(order.weights)
    weights = get_arrays(context.store, weights_in, instance.schema)
    transfer = clock.now() - began

    update = _train(context, order, weights, rows, attendance)
    attendance.check(update.num_batches)
    scores = predict_scores(instance, evaluation_batches(data.images("val"), config.EVALUATION_BATCH_SIZE))

    began = clock.now()
    place = (order.round, order.client, order.attempt)
    weights_out = put_arrays(context.store, context.key("update", *place), instance.names, update.weights)
    predictions = put_arrays(context.store, context.key("scores", *place), ["scores"], [scores])
    transfer += clock.now() - began
    return ClientReply(
        round=order.round,
        client=order.client,
        attempt=order.attempt,
        worker=context.worker,
        status="ok" if update.num_batches == attendance.num_batches else "partial",
        num_examples=min(update.num_batches * config.TRAIN_BATCH_SIZE, len(rows)),
        train_loss=update.loss,
        update=weights_out.to_message(),
        predictions=predictions.to_message(),
        threads=worker_session().threads,
        bytes_down=weights_in.length,
        bytes_up=weights_out.length,
        started_at=clock.started_at,
        seconds=clock.now() - clock.started_at,
        transfer_seconds=transfer,
    )


def _train(
    context: RunContext, order: TrainOrder, weights: Weights, rows: np.ndarray, attendance: Attendance
) -> LocalUpdate:
    config, data = context.config, context.data
    seed = [config.SEED, order.round, order.client]
    batches = training_batches(
        data.images("train"),
        data.labels("train"),
        rows,
        batch_size=config.TRAIN_BATCH_SIZE,
        augmentation_name=config.AUGMENTATION,
        seed=seed,
    )
    return train_locally(
        context.instance,
        weights,
        batches,
        learning_rate=config.learning_rate,
        seed=seed,
        class_weight=class_weight(config.CLASS_WEIGHT, data.labels("train"), rows),
        go_on=attendance.go_on,
    )
