"""Metrics of a binary classifier; what is undefined is None, never 0."""

import math

import numpy as np

from helpers.evaluation.weighted_metrics import Labels, Scores, weighted_metrics

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


def binary_metrics(labels: Labels, scores: Scores, threshold: float = 0.5) -> Metrics:
    """Compute the metrics of METRIC_NAMES, equal to scikit-learn's with `zero_division=nan`.

    Args:
        labels: (N,), 0 or 1.
        scores: (N,), probability of class 1.
        threshold: scores at or above it count as class 1.

    Returns:
        `val_loss` is the mean binary cross-entropy, `recall` the sensitivity, `brier_score` the mean
        squared error; for `calibration_error` see `weighted_metrics`. Undefined ones are None:
        precision without a positive prediction, recall without a positive label, F1 without either,
        specificity without a negative label, and with one class only balanced accuracy, AUC and
        average precision.

    Raises:
        ValueError: no labels, lengths that differ, labels other than 0 and 1, scores outside [0, 1].
    """
    values = weighted_metrics(labels, scores, np.ones((1, len(labels))), threshold)
    return {name: defined(float(values[name][0])) for name in METRIC_NAMES}


def sensitivity_at_specificity(labels: Labels, scores: Scores, specificity: float = 0.9) -> float | None:
    """The highest sensitivity of all thresholds with at least this specificity.

    Args:
        labels: (N,), 0 or 1.
        scores: (N,), probability of class 1.
        specificity: in [0, 1].

    Returns:
        In [0, 1], 0 where only a threshold above all scores is as specific; None with one class only.

    Raises:
        ValueError: as `binary_metrics`.
    """
    weights = np.ones((1, len(labels)))
    values = weighted_metrics(labels, scores, weights, threshold=0.5, specificity=specificity)
    return defined(float(values["sensitivity_at_specificity"][0]))


def defined(value: float) -> float | None:
    """The value, None for NaN."""
    return None if math.isnan(value) else value
