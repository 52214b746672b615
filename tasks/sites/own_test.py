"""The last test at a site: the best model, and whether joining was worth it for this site."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from celery_app import app, worker_session
from helpers.evaluation.metrics import evaluate
from helpers.federated.messages import Reference
from helpers.federated.sites.messages import ScoreReply, SiteTestOrder
from helpers.federated.weights import Weights
from helpers.local_training.trainer import predict_scores, train_locally
from helpers.model_instance_helper import keras_file
from helpers.run_records.files import write_whole
from helpers.run_records.tables import TEST_COLUMNS, write_table
from helpers.weight_store.store import get_arrays
from preprocessing.feed.input_pipeline import evaluation_batches, training_batches
from tasks.final_test import final_test, score_splits
from tasks.run_context import RunContext, StoppedError
from tasks.sites.score import score_here

FINE_TUNING_ROUNDS = 3


@app.task(name="tasks.test_site", ignore_result=True)
def test_at_site(message: dict[str, Any]) -> None:
    """Test models at a site; see `SiteTestOrder` and `ScoreReply`."""
    worker_session().run_order(SiteTestOrder, message, lambda order: compare_here(order).to_message())


def compare_here(order: SiteTestOrder) -> ScoreReply:
    """Score the test images, and test all models of `SiteTestOrder` on them; only rows of numbers leave, and
    none with SHARE_SCORES=none.
    """
    reply, context = score_here(order), RunContext.of(order)
    best = get_arrays(context.store, Reference.from_message(order.weights), context.instance.schema)
    config = context.config
    models = {"global": best}
    if order.initial is not None:
        initial = get_arrays(context.store, Reference.from_message(order.initial), context.instance.schema)
        rates = [config.learning_rate_in(number) for number in range(1, config.EPOCHS + 1)]
        models["fine-tuned"] = trained(context, best, [config.learning_rate] * FINE_TUNING_ROUNDS)
        models["local"] = trained(context, initial, rates)
    rows = [{**row_of(context, weights), "model": name} for name, weights in models.items()]
    keep(context, models, rows)
    return replace(reply, models=rows if config.SHARE_SCORES != "none" else None)


def trained(context: RunContext, weights: Weights, rates: Sequence[float]) -> Weights:
    """Train at this site alone, a round for each learning rate; return the best by its own validation.

    Raises:
        StoppedError: the answer is no longer wanted.
    """
    order: Any = context.order
    session, config, data = worker_session(), context.config, context.data
    rows = np.arange(len(data.labels("train")))

    def go_on(num_batches: int) -> bool:
        if session.heartbeat.show_batch(num_batches, num_batches) and not session.still_expects(order):
            raise StoppedError("the test is no longer wanted")
        return True

    def validation_auc(weights: Weights) -> float:
        context.instance.model.set_weights(weights)
        batches = evaluation_batches(data.images("val"), config.EVALUATION_BATCH_SIZE)
        scores = predict_scores(context.instance, batches)
        return evaluate(data.labels("val"), scores).metrics["roc_auc"] or 0.0

    best, best_auc = weights, validation_auc(weights)
    for number, rate in enumerate(rates, 1):
        seed = [config.SEED, number, order.client]
        batches = training_batches(
            data.images("train"), data.labels("train"), rows, batch_size=config.TRAIN_BATCH_SIZE,
            epochs=config.LOCAL_EPOCHS, augmentation_name=config.AUGMENTATION, seed=seed,
        )  # fmt: skip
        weights = train_locally(
            context.instance, weights, batches, learning_rate=rate, seed=seed, go_on=go_on,
            **context.class_corrections(rows),
        ).weights  # fmt: skip
        auc = validation_auc(weights)
        if auc > best_auc:
            best, best_auc = weights, auc
    return best


def row_of(context: RunContext, weights: Weights) -> dict[str, Any]:
    """Return the row of test.csv of a model on this site's test images, in four digits."""
    order: Any = context.order
    arrays = score_splits(context, weights, ("test",))
    threshold = order.threshold if len(context.config.class_names) == 2 else None
    row = final_test(context, arrays, order.round, threshold).row
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def keep(context: RunContext, models: dict[str, Weights], rows: list[dict[str, Any]]) -> None:
    """Keep test.csv and the models in the site's own folder, if its policy says so."""
    folder = worker_session().results_folder(context.order.run)
    if folder is None:
        return
    write_table(folder / "test.csv", TEST_COLUMNS, rows)
    for name, weights in models.items():
        write_whole(folder / f"{name}.keras", keras_file(context.config, weights))
