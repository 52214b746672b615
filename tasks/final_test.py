"""The best model's scores, its one test, and pictures of its surest cases."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from helpers.evaluation.intervals import bootstrap_intervals
from helpers.evaluation.metrics import binary_metrics, sensitivity_at_specificity
from helpers.evaluation.tallies import MEAN, POOLED, metrics_of
from helpers.evaluation.threshold_rule import without_choice
from helpers.evaluation.thresholds import choose_threshold
from helpers.explaining.cases import surest_cases
from helpers.explaining.grad_cam import UnexplainableModelError, grad_cam
from helpers.federated.quorum import QuorumError
from helpers.federated.weights import Weights
from helpers.local_training.trainer import predict_scores
from helpers.run_records.tables import TEST_COLUMNS
from preprocessing.input_pipeline import evaluation_batches
from tasks.run_context import RunContext
from tasks.site_scores import SiteScores

NUM_CASES = 3
"""Of true positives, true negatives, false positives and false negatives each."""


def score_splits(
    context: RunContext, weights: Weights, splits: Sequence[str] = ("val", "test")
) -> dict[str, np.ndarray]:
    """Labels, scores, files and patients of splits of our images, as scores.npz holds them."""
    context.instance.model.set_weights(weights)
    arrays: dict[str, np.ndarray] = {}
    for split in splits:
        batches = evaluation_batches(context.data.images(split), context.config.EVALUATION_BATCH_SIZE)
        arrays[f"{split}_labels"] = context.data.labels(split)
        arrays[f"{split}_scores"] = predict_scores(context.instance, batches)
        arrays[f"{split}_files"] = np.array(context.data.files(split))
        arrays[f"{split}_patients"] = np.array(context.data.patients(split))
    return arrays


def test_row(
    context: RunContext, arrays: dict[str, np.ndarray], round_number: int, threshold: float | None
) -> dict[str, Any]:
    """The row of test.csv: threshold from validation, intervals from a bootstrap over patients.

    Args:
        context: of the run.
        arrays: as scores.npz holds them.
        round_number: after which the model was tested.
        threshold: of the decision; None chooses one by the validation scores.
    """
    config = context.config
    if threshold is None:
        threshold = choose_threshold(arrays["val_labels"], arrays["val_scores"], config.THRESHOLD)
    has_patients = context.own_data is not None and context.own_data.has_patients
    labels, scores, patients = (arrays[f"test_{name}"] for name in ("labels", "scores", "patients"))
    metrics = binary_metrics(labels, scores, threshold)
    intervals = bootstrap_intervals(labels, scores, patients, threshold, config.SEED)
    row: dict[str, Any] = {
        "model": "best",
        "round": round_number,
        "threshold": threshold,
        "num_examples": len(labels),
        "num_patients": len(set(patients)) if has_patients else None,
        "test_loss": metrics.pop("val_loss"),
        **metrics,
        "sensitivity_at_90_specificity": sensitivity_at_specificity(labels, scores, 0.9),
    }
    for name, interval in intervals.items():
        row[f"{name}_low"], row[f"{name}_high"] = interval or (None, None)
    return row


def site_test(
    context: RunContext, weights: Weights, round_number: int, found: dict[str, SiteScores]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The test by what the sites said: scores.npz, as far as scores are shared, and the row of test.csv.

    Args:
        context: of the run.
        weights: the best model's.
        round_number: after which it was the best.
        found: of `val` and, unless we have a test set of our own, `test`.

    Raises:
        QuorumError: no site tested the model.
    """
    test, threshold = found.get("test"), None
    arrays = found["val"].named("val") if found["val"].are_shared else {}
    if not arrays:
        threshold = without_choice(context.config.THRESHOLD)
    if test is None:
        arrays |= score_splits(context, weights, ("test",))
        return arrays, test_row(context, arrays, round_number, threshold) | {"roc_auc_over": POOLED}
    if not test.tallies:
        raise QuorumError(f"no site tested the model ({'; '.join(test.left_out)}); resume to ask them again")
    if test.are_shared:
        arrays |= test.named("test")
        return arrays, test_row(context, arrays, round_number, threshold) | {"roc_auc_over": POOLED}
    metrics = metrics_of(list(test.tallies.values()))
    row = dict.fromkeys(TEST_COLUMNS) | {
        "model": "best",
        "round": round_number,
        "threshold": without_choice(context.config.THRESHOLD),
        "num_examples": sum(tally.negative + tally.positive for tally in test.tallies.values()),
        "test_loss": metrics.pop("val_loss"),
        **metrics,
        "roc_auc_over": MEAN,
    }
    return arrays, row


def explained_cases(
    context: RunContext, arrays: dict[str, np.ndarray], threshold: float
) -> dict[str, np.ndarray] | None:
    """The surest right and wrong test cases with their Grad-CAM, as cases.npz holds them.

    None where the network has nothing that Grad-CAM can explain.
    """
    labels, scores = arrays["test_labels"], arrays["test_scores"]
    right, wrong = surest_cases(labels, scores, threshold, NUM_CASES)
    chosen = np.concatenate([right, wrong])
    images = np.ascontiguousarray(context.data.images("test")[chosen])
    try:
        heatmaps = grad_cam(context.instance.model, np.divide(images, 255, dtype=np.float32))
    except UnexplainableModelError:
        return None
    return {
        "images": images,
        "heatmaps": heatmaps,
        "labels": labels[chosen],
        "scores": scores[chosen],
        "files": arrays["test_files"][chosen],
        "kinds": np.array(["right"] * len(right) + ["wrong"] * len(wrong)),
    }
