"""The start and the end of a run: initial weights, and the one test of the best model."""

import io
import json
from typing import Any

import numpy as np

from celery_app import app, worker_session
from helpers.evaluation.metrics import binary_metrics
from helpers.federated.messages import FinishOrder, StartOrder
from helpers.federated.weights import Weights
from helpers.local_training.trainer import predict_scores
from helpers.model_instance_helper import initial_weights, keras_file
from helpers.run_records.checkpoint import load_weights, read_state
from helpers.run_records.files import write_whole
from helpers.run_records.run_log import begin_run, resume_run
from helpers.run_records.tables import TEST_COLUMNS, write_rows
from helpers.weight_store.store import put_arrays
from preprocessing.input_pipeline import evaluation_batches
from tasks.run_context import RunContext

THRESHOLD = 0.5


@app.task(name="tasks.start_run", ignore_result=True)
def start_run(message: dict[str, Any]) -> None:
    """Make a run ready; see `StartOrder`. The answer is {state, weights}."""
    order = StartOrder.from_message(message)
    worker_session().carry_out(order, lambda: start(order))


def start(order: StartOrder) -> dict[str, Any]:
    """Begin or resume the records and put the global weights into the store."""
    context = RunContext.of(order)
    schema = context.instance.schema
    if order.resume:
        state, weights = resume_run(context.folders, order, schema)
    else:
        weights = initial_weights(context.config)
        state = begin_run(context.folders, order, schema, weights)
    key = context.key("weights", state.round)
    reference = put_arrays(context.store, key, context.instance.names, weights)
    return {"state": state.to_message(), "weights": reference.to_message()}


@app.task(name="tasks.finish_run", ignore_result=True)
def finish_run(message: dict[str, Any]) -> None:
    """Test the best model and write the models; see `FinishOrder`. The answer is {test}."""
    order = FinishOrder.from_message(message)
    worker_session().carry_out(order, lambda: finish(order))


def finish(order: FinishOrder) -> dict[str, Any]:
    """Write best.keras, last.keras, test.csv and scores.npz."""
    context = RunContext.of(order)
    config, folders, schema = context.config, context.folders, context.instance.schema
    state, _ = read_state(folders)
    last = load_weights(folders, state.weights_file, schema)
    best = load_weights(folders, state.best_weights_file or state.weights_file, schema)
    write_whole(folders.models / "last.keras", keras_file(config, last))
    write_whole(folders.models / "best.keras", keras_file(config, best))
    scores = {split: _scores(context, best, split) for split in ("val", "test")}
    _write_scores(context, scores)
    labels = context.data.labels("test")
    metrics = binary_metrics(labels, scores["test"], THRESHOLD)
    row = {
        "model": "best",
        "round": state.best_round or state.round,
        "threshold": THRESHOLD,
        "num_examples": len(labels),
        "test_loss": metrics.pop("val_loss"),
        **metrics,
    }
    write_rows(folders.metrics / "test.csv", TEST_COLUMNS, 0, [row])
    write_whole(folders.models / "best.json", _provenance(order, row, state.best_roc_auc))
    context.store.delete([context.key("weights", number) for number in (state.round - 1, state.round)])
    return {"test": row}


def _provenance(order: FinishOrder, row: dict[str, Any], roc_auc: float | None) -> bytes:
    """Where best.keras comes from."""
    content = {
        "run": order.run,
        "round": row["round"],
        "metric": "validation roc_auc",
        "value": roc_auc,
        "settings": order.settings,
        "data_digest": order.data_digest,
        "versions": order.versions,
    }
    return json.dumps(content, indent=1, sort_keys=True).encode()


def _scores(context: RunContext, weights: Weights, split: str) -> np.ndarray:
    context.instance.model.set_weights(weights)
    images = context.data.images(split)
    return predict_scores(context.instance, evaluation_batches(images, context.config.EVALUATION_BATCH_SIZE))


def _write_scores(context: RunContext, scores: dict[str, np.ndarray]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for split, values in scores.items():
        arrays[f"{split}_labels"] = context.data.labels(split)
        arrays[f"{split}_scores"] = values
        arrays[f"{split}_files"] = np.array(context.data.files(split))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_whole(context.folders.metrics / "scores.npz", buffer.getvalue())
