"""Every metric at once, for many weightings of the same images: one row of weights, one value.

A weight says how often an image counts. One row of ones gives the metrics themselves, resampled
counts give their bootstrap distribution.
"""

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 10
# Keras clips like this: a sure mistake costs 16, not infinity.
SMALLEST_CHANCE = 1e-7

Labels = NDArray[np.integer]
Scores = NDArray[np.floating]
Values = NDArray[np.float64]


def checked(labels: Labels, scores: Scores) -> tuple[NDArray[np.int64], Values]:
    """Return labels and scores in whole and double precision.

    Raises:
        ValueError: no labels, lengths that differ, labels other than 0 and 1, scores outside [0, 1].
    """
    labels = np.asarray(labels)
    values: Values = np.asarray(scores, np.float64)
    if len(labels) == 0 or labels.shape != values.shape or labels.ndim != 1:
        raise ValueError(f"{labels.shape} labels and {values.shape} scores, expected (N,) of both")
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("labels beside the scores are not all 0 or 1")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores are not finite or not between 0 and 1")
    return labels.astype(np.int64), values


def weighted_metrics(
    labels: Labels, scores: Scores, weights: Values, threshold: float, specificity: float = 0.9
) -> dict[str, Values]:
    """Compute every metric for every row of weights.

    Expected calibration error: the images are put into 10 bins of equal width by score; the distance
    between mean score and fraction of cancers in a bin, averaged by the images in it (Naeini, Cooper &
    Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", eq. of ECE; bins
    (low, high] as in Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3).

    Args:
        labels: (N,), 0 or 1.
        scores: (N,), probability of class 1.
        weights: float64 (R, N), at least 0.
        threshold: scores at or above it count as class 1.
        specificity: the one at which `sensitivity_at_specificity` is taken.

    Returns:
        For each name (R,), NaN where undefined: a denominator is 0, or a ranking lacks a class.

    Raises:
        ValueError: as `checked`.
    """
    labels, scores = checked(labels, scores)
    decisions = scores >= threshold
    chances = scores.clip(SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
    bins = np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], scores)
    columns = [
        labels * decisions,
        (1 - labels) * decisions,
        labels,
        np.ones(len(labels)),
        -np.log(np.where(labels == 1, chances, 1 - chances)),
        (scores - labels) ** 2,
        *((bins == number) * (scores - labels) for number in range(CALIBRATION_BINS)),
    ]
    sums = (weights @ np.stack(columns, axis=1).astype(np.float64)).T
    true_positive, false_positive, positive, total, loss, squares = sums[:6]
    negative = total - positive
    true_negative = negative - false_positive
    recall, kept_negative = ratio(true_positive, positive), ratio(true_negative, negative)
    auc, precision_area, sensitivity = _ranking(labels, scores, weights, specificity)
    return {
        "val_loss": ratio(loss, total),
        "accuracy": ratio(true_positive + true_negative, total),
        "precision": ratio(true_positive, true_positive + false_positive),
        "recall": recall,
        "f1_score": ratio(2 * true_positive, positive + true_positive + false_positive),
        "roc_auc": auc,
        "average_precision": precision_area,
        "specificity": kept_negative,
        "balanced_accuracy": (recall + kept_negative) / 2,
        "brier_score": ratio(squares, total),
        "calibration_error": ratio(np.abs(sums[6:]).sum(axis=0), total),
        "sensitivity_at_specificity": sensitivity,
    }


def weighted_auc(labels: Labels, scores: Scores, weights: Values) -> Values:
    """The area under the ROC curve alone, for every row of weights; see `weighted_metrics`."""
    return _ranking(*checked(labels, scores), weights, specificity=1.0)[0]


def ratio(part: Values, whole: Values) -> Values:
    """Divide; NaN where the denominator is 0."""
    quotient: Values = np.full(part.shape, np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient


def _ranking(
    labels: NDArray[np.int64], scores: Values, weights: Values, specificity: float
) -> tuple[Values, Values, Values]:
    """ROC-AUC, average precision and sensitivity at a specificity, each (R,), from one sorting.

    AUC is the probability that a cancer scores higher than a non-cancer, half for equal scores (Mann
    & Whitney 1947; Hanley & McNeil 1982), here the trapezoids under the ROC curve. Average precision
    sums precision × gain of recall over the distinct scores, without interpolation, as scikit-learn.
    """
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
    reached = np.where(kept_negative >= specificity, true_positive, 0).max(axis=1)
    sensitivity = ratio(reached, positive)
    return auc, np.where(has_both, precision_area, np.nan), np.where(has_both, sensitivity, np.nan)
