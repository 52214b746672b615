"""Metrics of a classifier. Undefined ones are None, never 0.

`val_loss` is the mean cross-entropy, `recall` the sensitivity, `brier_score` the mean squared error; for
`calibration_error` see `weighted_metrics`. Undefined are precision without a positive prediction, recall
without a positive label, F1 without either, specificity without a negative label, and with one class only
balanced accuracy, AUC and average precision.

With more than two classes, scikit-learn omits a class whose metric is undefined from the mean. Here the mean
is then undefined too, because a mean over fewer classes is not comparable.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.weighted_metrics import (
    SENSITIVITY,
    Labels,
    Scores,
    checked,
    decide,
    num_classes_of,
    weighted_metrics,
)

Metrics = dict[str, float | None]

METRIC_NAMES = (
    "val_loss",
    "accuracy",
    "precision",
    "recall",
    "f1_score",
    "roc_auc",
    "average_precision",
    "specificity",
    "balanced_accuracy",
    "brier_score",
    "calibration_error",
)
CLASS_METRIC_NAMES = (*METRIC_NAMES[2:8], SENSITIVITY)
"""Metrics that are also reported for each of more than two classes."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics and confusion matrix of a set of images.

    Attributes:
        metrics: by METRIC_NAMES and SENSITIVITY; with more than two classes mostly means over them, see
            `weighted_metrics`.
        by_class: CLASS_METRIC_NAMES of each of more than two classes; empty with two.
        confusion: int64 (k, k), number of images by truth and decision.
    """

    metrics: Metrics
    by_class: list[Metrics]
    confusion: NDArray[np.int64]


def evaluate(labels: Labels, scores: Scores, threshold: float = 0.5) -> Evaluation:
    """Compute the metrics; with two classes they equal scikit-learn's with `zero_division=nan`.

    Args:
        labels: (N,), 0 to k - 1.
        scores: (N,), probability of class 1; (N, k) with more than two classes.
        threshold: with two classes, scores at or above it count as class 1.

    Raises:
        ValueError: as `weighted_metrics.checked`.
    """
    weighted = weighted_metrics(labels, scores, np.ones((1, len(labels))), threshold)
    overall = {name: defined(weighted.overall[name][0]) for name in (*METRIC_NAMES, SENSITIVITY)}
    by_class: list[Metrics] = []
    if len(weighted.confusions[0]) > 2:
        by_class = rows_by_class({name: weighted.by_class[name][0] for name in CLASS_METRIC_NAMES})
    return Evaluation(overall, by_class, weighted.confusions[0].astype(np.int64))


def confusion_of(labels: Labels, scores: Scores, threshold: float) -> NDArray[np.int64]:
    """Return the number of images by truth and decision, (k, k); arguments as in `evaluate`.

    Raises:
        ValueError: as `weighted_metrics.checked`.
    """
    labels, scores = checked(labels, scores)
    num_classes = num_classes_of(scores)
    cells = np.bincount(labels * num_classes + decide(scores, threshold), minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def rows_by_class(values: dict[str, Any]) -> list[Metrics]:
    """Turn columns (k,) by name into a row per class; empty if only one class is reported."""
    columns = {name: [defined(value) for value in column] for name, column in values.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return rows if len(rows) > 1 else []


def defined(value: float) -> float | None:
    """Return the value, or None for NaN."""
    return None if math.isnan(value) else float(value)
