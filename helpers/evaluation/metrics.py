"""Metrics of a classifier; what is undefined is None, never 0."""

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
"""Those that each of several classes has by itself."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What scores are worth.

    Attributes:
        metrics: by METRIC_NAMES and SENSITIVITY; with more than two classes the means over them, see
            `weighted_metrics`.
        by_class: CLASS_METRIC_NAMES of each of more than two classes; empty where there are two.
        confusion: int64 (k, k), number of images by truth and decision.
    """

    metrics: Metrics
    by_class: list[Metrics]
    confusion: NDArray[np.int64]


def evaluate(labels: Labels, scores: Scores, threshold: float = 0.5) -> Evaluation:
    """Compute the metrics, of two classes equal to scikit-learn's with `zero_division=nan`.

    Of more, scikit-learn leaves a class whose metric is undefined out of the mean. Here the mean is then
    undefined too: that of fewer classes is another number.

    Args:
        labels: (N,), 0 to k - 1.
        scores: (N,), probability of class 1; (N, k) where there are more than two classes.
        threshold: of two classes, scores at or above it count as class 1.

    Returns:
        The metrics. `val_loss` is the mean cross-entropy, `recall` the sensitivity, `brier_score` the mean
        squared error; for `calibration_error` see `weighted_metrics`. Undefined ones are None:
        precision without a positive prediction, recall without a positive label, F1 without either,
        specificity without a negative label, and with one class only balanced accuracy, AUC and
        average precision.

    Raises:
        ValueError: as `weighted_metrics.checked`.
    """
    found = weighted_metrics(labels, scores, np.ones((1, len(labels))), threshold)
    return Evaluation(
        {name: defined(found.overall[name][0]) for name in (*METRIC_NAMES, SENSITIVITY)},
        rows_by_class({name: found.by_class[name][0] for name in CLASS_METRIC_NAMES}),
        confusion_of(labels, scores, threshold),
    )


def confusion_of(labels: Labels, scores: Scores, threshold: float) -> NDArray[np.int64]:
    """Number of images by truth and decision: (k, k), from labels and scores as in `evaluate`.

    Raises:
        ValueError: as `weighted_metrics.checked`.
    """
    labels, scores = checked(labels, scores)
    num_classes = num_classes_of(scores)
    cells = np.bincount(labels * num_classes + decide(scores, threshold), minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def rows_by_class(values: dict[str, Any]) -> list[Metrics]:
    """A row for each class from a column (k,) for each name; none where a single class is reported."""
    columns = {name: [defined(value) for value in column] for name, column in values.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return rows if len(rows) > 1 else []


def defined(value: float) -> float | None:
    """The value, None for NaN."""
    return None if math.isnan(value) else float(value)
