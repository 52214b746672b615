"""Weighted metrics: all metrics of the same images under many weightings at once.

A weight is the number of times an image counts. One row of ones gives the metrics themselves, resampled
counts leave out or repeat patients.

With more than two classes, metrics of a positive class are the macro mean over all classes, each against
the rest, and undefined if that of one class is. Balanced accuracy is the mean sensitivity of the classes.
The squared error is summed over the classes (Brier 1950, "Verification of Forecasts Expressed in Terms of
Probability").

Expected calibration error: the images are put into 10 bins of equal width by score. It is the distance
between mean score and fraction of cancers in a bin, averaged over the images (Naeini, Cooper &
Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", eq. of ECE; bins
(low, high] as in Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3). With more than two
classes, as there, it is the distance between the probability of the most probable class and accuracy.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 10
SENSITIVITY, SPECIFICITY = "sensitivity_at_90_specificity", 0.9
# Keras clips like this: a confident mistake costs 16, not infinity.
MIN_PROBABILITY = 1e-7
SUM_TOLERANCE = 1e-3  # of an image's probabilities; far more than single precision needs

Labels = NDArray[np.integer]
Scores = NDArray[np.floating]
"""(N,), probability of class 1 of two; or (N, k), that of each of k > 2 classes."""
Values = NDArray[np.float64]


class WeightedMetrics(NamedTuple):
    """Metrics for R rows of weights, NaN if undefined.

    Attributes:
        overall: by name (R,).
        by_class: by name (R, k): each of k > 2 classes against the rest; with two classes (R, 1): class 1.
        confusions: (R, k, k), weights by truth and decision.
    """

    overall: dict[str, Values]
    by_class: dict[str, Values]
    confusions: Values


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


def weighted_metrics(labels: Labels, scores: Scores, weights: Values, threshold: float) -> WeightedMetrics:
    """Compute every metric for every row of weights.

    Args:
        labels: (N,), 0 to k - 1.
        scores: (N,), probability of class 1; (N, k) with more than two classes.
        weights: float64 (R, N), at least 0.
        threshold: with two classes, scores at or above it count as class 1.

    Returns:
        The metrics, undefined if a denominator is 0 or a ranking lacks a class.

    Raises:
        ValueError: as `checked`.
    """
    labels, scores = checked(labels, scores)
    decisions = decide(scores, threshold)
    confusions = _confusions(labels, decisions, weights, num_classes_of(scores))
    ranked = [_ranking(truth, score, weights) for truth, score in one_against_rest(labels, scores)]
    auc, precision_area, sensitivity = (np.stack(values, axis=1) for values in zip(*ranked, strict=True))
    by_class = class_rates(confusions) | {
        "roc_auc": auc,
        "average_precision": precision_area,
        SENSITIVITY: sensitivity,
    }
    mean = {name: values.mean(axis=1) for name, values in by_class.items()}
    return WeightedMetrics(
        overall_rates(confusions) | mean | _of_probabilities(labels, scores, decisions, weights),
        by_class,
        confusions,
    )


def weighted_auc(labels: Labels, scores: Scores, weights: Values) -> Values:
    """Compute only the area under the ROC curve, for every row of weights; see `weighted_metrics`."""
    rankings = one_against_rest(*checked(labels, scores))
    areas = [_ranking(truth, score, weights)[0] for truth, score in rankings]
    mean: Values = np.mean(areas, axis=0)
    return mean


def class_rates(confusions: Values) -> dict[str, Values]:
    """Compute precision, recall, F1 and specificity of each class from confusions (..., k, k).

    Each is (..., k), or (..., 1) of class 1 if k is 2; NaN if a denominator is 0.
    """
    right: Values = np.diagonal(confusions, axis1=-2, axis2=-1)
    own, said = confusions.sum(axis=-1), confusions.sum(axis=-2)
    others = own.sum(axis=-1, keepdims=True) - own
    rates: dict[str, Values] = {
        "precision": ratio(right, said),
        "recall": ratio(right, own),
        "f1_score": ratio(2 * right, own + said),
        "specificity": ratio(others - (said - right), others),
    }
    first = 1 if confusions.shape[-1] == 2 else 0
    return {name: values[..., first:] for name, values in rates.items()}


def overall_rates(confusions: Values) -> dict[str, Values]:
    """Compute accuracy and balanced accuracy, (...), of confusions (..., k, k)."""
    right, own = np.diagonal(confusions, axis1=-2, axis2=-1), confusions.sum(axis=-1)
    return {
        "accuracy": ratio(right.sum(axis=-1), own.sum(axis=-1)),
        "balanced_accuracy": ratio(right, own).mean(axis=-1),
    }


def ratio(part: Values, whole: Values) -> Values:
    """Divide; NaN if the denominator is 0."""
    quotient: Values = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=quotient, where=np.asarray(whole) > 0)
    return quotient


def _confusions(
    labels: NDArray[np.int64], decisions: NDArray[np.int64], weights: Values, num_classes: int
) -> Values:
    """Sum the weights of the images by truth and decision: (R, k, k)."""
    cells = np.eye(num_classes**2)[labels * num_classes + decisions]
    confusions: Values = (weights @ cells).reshape(-1, num_classes, num_classes)
    return confusions


def _of_probabilities(
    labels: NDArray[np.int64], scores: Values, decisions: NDArray[np.int64], weights: Values
) -> dict[str, Values]:
    """Compute cross-entropy, squared error and calibration error, each (R,)."""
    clipped = scores.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    if scores.ndim == 1:
        probabilities, outcomes, confidence = np.where(labels == 1, clipped, 1 - clipped), labels, scores
        squares = (scores - labels) ** 2
    else:
        rows = np.arange(len(labels))
        probabilities, outcomes, confidence = clipped[rows, labels], decisions == labels, scores.max(axis=1)
        squares = ((scores - np.eye(scores.shape[1])[labels]) ** 2).sum(axis=1)
    bins = np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], confidence)
    gaps = [(bins == number) * (confidence - outcomes) for number in range(CALIBRATION_BINS)]
    columns = [np.ones(len(labels)), -np.log(probabilities), squares, *gaps]
    total, loss, squared, *gap_sums = (weights @ np.stack(columns, axis=1)).T
    return {
        "val_loss": ratio(loss, total),
        "brier_score": ratio(squared, total),
        "calibration_error": ratio(np.abs(gap_sums).sum(axis=0), total),
    }


def one_against_rest(labels: NDArray[np.int64], scores: Values) -> list[tuple[NDArray[np.int64], Values]]:
    """Return for each reported class whether images belong to it (0 or 1) and its probability."""
    if scores.ndim == 1:
        return [(labels, scores)]
    return [((labels == label).astype(np.int64), scores[:, label]) for label in range(scores.shape[1])]


# AUC is the probability that a cancer scores higher than a non-cancer, counting ties as half (Mann
# & Whitney 1947; Hanley & McNeil 1982), computed as trapezoids under the ROC curve. Average precision
# sums precision × gain in recall over the distinct scores, without interpolation, as in scikit-learn. The
# sensitivity is the highest of all thresholds with at least that specificity, 0 if only a threshold above
# all scores has it.
def _ranking(labels: NDArray[np.int64], scores: Values, weights: Values) -> tuple[Values, Values, Values]:
    """Compute ROC-AUC, average precision and sensitivity at SPECIFICITY, each (R,), from one sort."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # last image of each distinct score
    ranked, is_positive = weights[:, order], labels[order]
    true_positive = np.cumsum(ranked * is_positive, axis=1)[:, ends]
    false_positive = np.cumsum(ranked * (1 - is_positive), axis=1)[:, ends]
    positive, negative = true_positive[:, -1], false_positive[:, -1]
    gains = np.diff(true_positive, axis=1, prepend=0)
    steps = np.diff(false_positive, axis=1, prepend=0)
    precision = np.nan_to_num(ratio(true_positive, true_positive + false_positive))
    kept_negative = ratio(negative - false_positive.T, negative).T
    has_both = positive * negative > 0
    auc = ratio((steps * (true_positive - gains / 2)).sum(axis=1), positive * negative)
    precision_area = ratio((gains * precision).sum(axis=1), positive)
    reached = np.where(kept_negative >= SPECIFICITY, true_positive, 0).max(axis=1)
    sensitivity = ratio(reached, positive)
    return auc, np.where(has_both, precision_area, np.nan), np.where(has_both, sensitivity, np.nan)
