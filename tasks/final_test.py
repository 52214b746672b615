"""The best model's scores, its one test, and pictures of its surest cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.groups import group_rows, skipped_columns
from helpers.evaluation.intervals import metric_intervals
from helpers.evaluation.metrics import evaluate
from helpers.evaluation.tested import ends_of, metrics_of_test
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE, without_choice
from helpers.evaluation.thresholds import choose_threshold
from helpers.explaining.cases import surest_cases
from helpers.explaining.grad_cam import UnexplainableModelError, grad_cam
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.trainer import predict_scores
from helpers.run_records.tables import class_rows
from preprocessing.feed.input_pipeline import evaluation_batches
from tasks.run_context import RunContext

NUM_CASES = 3
"""Of true positives, true negatives, false positives and false negatives each."""


def score_splits(
    context: RunContext, weights: Weights, splits: Sequence[str] = ("val", "test")
) -> dict[str, np.ndarray]:
    """Return labels, scores, files and patients of splits of the prepared images, as scores.npz holds
    them.
    """
    context.instance.model.set_weights(weights)
    arrays: dict[str, np.ndarray] = {}
    for split in splits:
        batches = evaluation_batches(context.data.images(split), context.config.EVALUATION_BATCH_SIZE)
        arrays[f"{split}_labels"] = context.data.labels(split)
        arrays[f"{split}_scores"] = predict_scores(context.instance, batches)
        arrays[f"{split}_files"] = np.array(context.data.files(split))
        arrays[f"{split}_patients"] = np.array(context.data.patients(split))
    return arrays


def auc_on_test(context: RunContext, weights: Weights) -> float | None:
    """Return the ROC-AUC of the model with these weights on the test images; None if it is not defined."""
    arrays = score_splits(context, weights, ("test",))
    return evaluate(arrays["test_labels"], arrays["test_scores"]).metrics["roc_auc"]


@dataclass(frozen=True, eq=False)
class FinalTest:
    """Result of the test.

    Attributes:
        row: of test.csv.
        classes: the rows of test_classes.csv; empty where there are two classes.
        confusion: int64 (k, k), number of images by truth and decision.
    """

    row: dict[str, Any]
    classes: list[dict[str, Any]]
    confusion: NDArray[np.int64]


def final_test(
    context: RunContext, arrays: dict[str, np.ndarray], round_number: int, threshold: float | None = None
) -> FinalTest:
    """The test by scores; intervals have patients as their unit.

    Args:
        context: of the run.
        arrays: as scores.npz holds them; the threshold is chosen on validation, if its scores are among them.
        round_number: the round of the model.
        threshold: the one to use without scores of validation.
    """
    config = context.config
    if threshold is None or "val_scores" in arrays:
        threshold = test_threshold(config, arrays)
    cut = WITHOUT_CHOICE if threshold is None else threshold  # unused with more than two classes
    labels, scores, patients = (arrays[f"test_{name}"] for name in ("labels", "scores", "patients"))
    evaluation = evaluate(labels, scores, cut)
    intervals = metric_intervals(labels, scores, patients, cut)
    has_patients = context.own_data is not None and context.own_data.has_patients
    row = {
        "model": "best",
        "round": round_number,
        "threshold": threshold,
        "num_examples": len(labels),
        "num_patients": len(set(patients)) if has_patients else None,
        **metrics_of_test(evaluation),
        **ends_of(intervals.overall),
    }
    classes = [
        {"round": round_number, **metrics, **ends_of(own)}
        for metrics, own in zip(class_rows(evaluation, config.class_names), intervals.by_class, strict=True)
    ]
    return FinalTest(row, classes, evaluation.confusion)


def test_threshold(config: Config, arrays: dict[str, np.ndarray]) -> float | None:
    """Return the decision threshold of two classes; None with more classes, which need no threshold."""
    if len(config.class_names) > 2:
        return None
    if "val_scores" not in arrays:
        return without_choice(config.THRESHOLD)
    return choose_threshold(arrays["val_labels"], arrays["val_scores"], config.THRESHOLD)


def groups_of_splits(
    context: RunContext, arrays: dict[str, np.ndarray], threshold: float | None
) -> list[dict[str, Any]]:
    """Return the rows of groups.csv, for the columns of manifest.csv; none without such columns.

    Where images stay at the sites, so do their columns.
    """
    data = context.own_data
    if data is None or context.config.DATA_AT == "sites" or not data.group_columns:
        return []
    all_labels = [int(entry["label"]) for entry in data.manifest["files"]]
    everywhere = {
        name: [entry.get("columns", {}).get(name, "") for entry in data.manifest["files"]]
        for name in data.group_columns
    }
    skipped = skipped_columns(everywhere, all_labels)
    rows: list[dict[str, Any]] = [{"column": name, "note": reason} for name, reason in skipped.items()]
    for split in ("test", "val"):
        columns = {name: data.column(split, name) for name in everywhere if name not in skipped}
        labels, scores, patients = (arrays[f"{split}_{name}"] for name in ("labels", "scores", "patients"))
        cut = WITHOUT_CHOICE if threshold is None else threshold
        of_split = group_rows(columns, labels, scores, patients, cut, has_patients=data.has_patients)
        rows += [{"split": split, **row} for row in of_split]
    return rows


def explained_cases(
    context: RunContext, arrays: dict[str, np.ndarray], threshold: float | None
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
