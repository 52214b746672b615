"""Metrics of a classifier. Undefined ones are None, never 0.

`val_loss` is the mean cross-entropy, `recall` the sensitivity. Undefined are precision without a positive
prediction, recall without a positive label, F1 without either, specificity without a negative label, and with
one class only balanced accuracy, AUC and average precision.

With more than two classes, metrics of a positive class are the macro mean over all classes, each against the
rest. Where scikit-learn omits a class whose metric is undefined from the mean, the mean here is undefined,
because a mean over fewer classes is not comparable. Balanced accuracy is the mean sensitivity of the classes.
`brier_score` is the mean squared error, summed over more than two classes (Brier 1950, "Verification of
Forecasts Expressed in Terms of Probability").

`calibration_error`: the images are put into 10 bins of equal width by score. It is the distance between mean
score and fraction of cancers in a bin, averaged over the images (Naeini, Cooper & Hauskrecht 2015, "Obtaining
Well Calibrated Probabilities Using Bayesian Binning", eq. of ECE; bins (low, high] as in Guo et al. 2017, "On
Calibration of Modern Neural Networks", eq. 3). With more than two classes, as there, it is the distance
between the probability of the most probable class and accuracy.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Metrics = dict[str, float | None]
Labels = NDArray[np.integer]
Scores = NDArray[np.floating]
"""(N,), probability of class 1 of two; or (N, k), that of each of k > 2 classes."""
Values = NDArray[np.float64]

SENSITIVITY, SPECIFICITY = "sensitivity_at_90_specificity", 0.9
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
CALIBRATION_BINS = 10
# Keras clips like this: a confident mistake costs 16, not infinity.
MIN_PROBABILITY = 1e-7
SUM_TOLERANCE = 1e-3  # of an image's probabilities; far more than single precision needs


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics and confusion matrix of a set of images.

    Attributes:
        metrics: by METRIC_NAMES and SENSITIVITY; with more than two classes mostly means over them.
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
        ValueError: as `checked`.
    """
    labels, values = checked(labels, scores)
    confusion = _confusion(labels, values, threshold)
    by_class = class_rates(confusion) | _ranking_metrics(labels, values)
    overall = {name: float(column.mean()) for name, column in by_class.items()}
    overall |= overall_rates(confusion) | _of_probabilities(labels, values, threshold)
    return Evaluation(
        {name: defined(overall[name]) for name in (*METRIC_NAMES, SENSITIVITY)},
        rows_by_class({name: by_class[name] for name in CLASS_METRIC_NAMES}) if values.ndim > 1 else [],
        confusion,
    )


def checked(labels: Labels, scores: Scores) -> tuple[NDArray[np.int64], Values]:
    """Check labels and scores; return them as int64 and float64.

    Raises:
        ValueError: there are no labels, shapes do not fit, a label is not a class, a score is outside
            [0, 1], or the scores of an image do not sum to 1.
    """
    labels = np.asarray(labels)
    values: Values = np.asarray(scores, np.float64)
    is_binary = values.ndim == 1
    is_score_per_class = values.ndim == 2 and values.shape[1] > 2
    if len(labels) == 0 or labels.shape != values.shape[:1] or not (is_binary or is_score_per_class):
        raise ValueError(f"{labels.shape} labels and {values.shape} scores, expected (N,) and (N,) or (N, k)")
    num_classes = num_classes_of(values)
    if not ((labels >= 0) & (labels < num_classes) & (labels % 1 == 0)).all():
        allowed = "0 or 1" if is_binary else f"0 to {num_classes - 1}"
        raise ValueError(f"labels of the scores are not all {allowed}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores are not finite or not between 0 and 1")
    if not is_binary and (np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE).any():
        raise ValueError("the scores of an image do not add up to 1")
    return labels.astype(np.int64), values


def num_classes_of(scores: Scores) -> int:
    """Return the number of classes."""
    return 2 if scores.ndim == 1 else scores.shape[1]


def scores_shape(num_images: int, num_classes: int) -> tuple[int, ...]:
    """Return the shape of the scores: (N,) for two classes, else (N, k)."""
    return (num_images,) if num_classes == 2 else (num_images, num_classes)


def decide(scores: Scores, threshold: float) -> NDArray[np.int64]:
    """Return the class of each image, (N,): with two, 1 at or above the threshold; else the most probable."""
    decisions = scores >= threshold if scores.ndim == 1 else scores.argmax(axis=1)
    return decisions.astype(np.int64)


def confusion_of(labels: Labels, scores: Scores, threshold: float) -> NDArray[np.int64]:
    """Return the number of images by truth and decision, (k, k); arguments as in `evaluate`.

    Raises:
        ValueError: as `checked`.
    """
    return _confusion(*checked(labels, scores), threshold)


def _confusion(labels: NDArray[np.int64], scores: Values, threshold: float) -> NDArray[np.int64]:
    num_classes = num_classes_of(scores)
    cells = np.bincount(labels * num_classes + decide(scores, threshold), minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def class_rates(confusion: NDArray[np.int64]) -> dict[str, Values]:
    """Compute precision, recall, F1 and specificity of each class from a confusion (k, k).

    Each is (k,), or (1,) of class 1 if k is 2; NaN if a denominator is 0.
    """
    right, own, said = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    others = own.sum() - own
    rates = {
        "precision": ratio(right, said),
        "recall": ratio(right, own),
        "f1_score": ratio(2 * right, own + said),
        "specificity": ratio(others - (said - right), others),
    }
    first = 1 if len(confusion) == 2 else 0
    return {name: values[first:] for name, values in rates.items()}


def overall_rates(confusion: NDArray[np.int64]) -> dict[str, float]:
    """Compute accuracy and balanced accuracy of a confusion (k, k)."""
    right, own = confusion.diagonal(), confusion.sum(axis=1)
    return {
        "accuracy": float(ratio(right.sum(), own.sum())),
        "balanced_accuracy": float(ratio(right, own).mean()),
    }


def ratio(part: Any, whole: Any) -> Values:
    """Divide numbers or arrays; NaN if the denominator is 0."""
    quotient: Values = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=quotient, where=np.asarray(whole) > 0)
    return quotient


def _ranking_metrics(labels: NDArray[np.int64], scores: Values) -> dict[str, Values]:
    """Compute the metrics of each reported class that depend on the order of the scores alone."""
    ranked = np.array([ranking(truth, score) for truth, score in one_against_rest(labels, scores)])
    return dict(zip(("roc_auc", "average_precision", SENSITIVITY), ranked.T, strict=True))


# AUC is the probability that a cancer scores higher than a non-cancer, counting ties as half (Mann
# & Whitney 1947; Hanley & McNeil 1982), computed as trapezoids under the ROC curve: whole numbers, so that
# equal AUCs are equal to the bit. Average precision sums precision × gain in recall over the distinct scores,
# without interpolation, as in scikit-learn. The sensitivity is the highest of all thresholds with at least
# that specificity, 0 if only a threshold above all scores has it.
def ranking(truth: NDArray[np.int64], scores: Values) -> tuple[float, float, float]:
    """Compute ROC-AUC, average precision and sensitivity at SPECIFICITY; NaN without both classes.

    Args:
        truth: (N,), 0 or 1.
        scores: (N,), probability of 1.
    """
    positive, negative = int(truth.sum()), int((1 - truth).sum())
    if not positive * negative:
        return math.nan, math.nan, math.nan
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # last image of each distinct score
    hits = np.cumsum(truth[order])[ends]
    alarms = ends + 1 - hits
    gains, steps = np.diff(hits, prepend=0), np.diff(alarms, prepend=0)
    auc = float((steps * (hits - gains / 2)).sum()) / (positive * negative)
    precision_area = float((gains * (hits / (ends + 1))).sum()) / positive
    is_specific = (negative - alarms) / negative >= SPECIFICITY
    return auc, precision_area, int(np.where(is_specific, hits, 0).max()) / positive


def _of_probabilities(labels: NDArray[np.int64], scores: Values, threshold: float) -> dict[str, float]:
    """Compute the means of cross-entropy and squared error, and the calibration error."""
    clipped = scores.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    if scores.ndim == 1:
        probabilities, outcomes, confidence = np.where(labels == 1, clipped, 1 - clipped), labels, scores
        squares = (scores - labels) ** 2
    else:
        probabilities, confidence = clipped[np.arange(len(labels)), labels], scores.max(axis=1)
        outcomes = (decide(scores, threshold) == labels).astype(np.int64)
        squares = ((scores - np.eye(scores.shape[1])[labels]) ** 2).sum(axis=1)
    bins = np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], confidence)
    gaps = np.bincount(bins, confidence - outcomes)
    return {
        "val_loss": float(-np.log(probabilities).mean()),
        "brier_score": float(squares.mean()),
        "calibration_error": float(np.abs(gaps).sum() / len(labels)),
    }


def one_against_rest(labels: NDArray[np.int64], scores: Values) -> list[tuple[NDArray[np.int64], Values]]:
    """Return for each reported class whether images belong to it (0 or 1) and its probability."""
    if scores.ndim == 1:
        return [(labels, scores)]
    return [((labels == label).astype(np.int64), scores[:, label]) for label in range(scores.shape[1])]


def rows_by_class(values: dict[str, Any]) -> list[Metrics]:
    """Turn columns (k,) by name into a row per class; empty if only one class is reported."""
    columns = {name: [defined(value) for value in column] for name, column in values.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return rows if len(rows) > 1 else []


def defined(value: float) -> float | None:
    """Return the value, or None for NaN."""
    return None if math.isnan(value) else float(value)
