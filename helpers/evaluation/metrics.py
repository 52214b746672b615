"""Metrics of a binary classifier; what is undefined is None, never 0."""

import math

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

Metrics = dict[str, float | None]


def binary_metrics(
    labels: NDArray[np.integer], scores: NDArray[np.floating], threshold: float = 0.5
) -> Metrics:
    """Compute loss, accuracy, precision, recall, F1 and ROC-AUC with scikit-learn.

    Args:
        labels: (N,), 0 or 1.
        scores: (N,), probability of class 1.
        threshold: scores at or above it count as class 1.

    Returns:
        `val_loss` (mean binary cross-entropy), `accuracy`, `precision`, `recall`, `f1_score`,
        `roc_auc`. Undefined ones are None: precision without a positive prediction, recall
        without a positive label, F1 without either, AUC with one class only.

    Raises:
        ValueError: no labels, lengths that differ, or scores that are not finite.
    """
    scores = np.asarray(scores, np.float64)
    if len(labels) == 0 or len(labels) != len(scores):
        raise ValueError(f"{len(labels)} labels and {len(scores)} scores")
    if not np.isfinite(scores).all():
        raise ValueError("scores are not finite")
    decisions = (scores >= threshold).astype(int)
    undefined = {"zero_division": math.nan}
    both_classes = 0 < int(np.sum(labels)) < len(labels)
    values = {
        # Keras clips like this: a sure mistake costs 16, not infinity.
        "val_loss": sk.log_loss(labels, scores.clip(1e-7, 1 - 1e-7), labels=[0, 1]),
        "accuracy": sk.accuracy_score(labels, decisions),
        "precision": sk.precision_score(labels, decisions, **undefined),
        "recall": sk.recall_score(labels, decisions, **undefined),
        "f1_score": sk.f1_score(labels, decisions, **undefined),
        "roc_auc": sk.roc_auc_score(labels, scores) if both_classes else math.nan,
    }
    return {name: None if math.isnan(value) else float(value) for name, value in values.items()}
