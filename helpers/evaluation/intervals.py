"""Confidence intervals of metrics: 95 %, by the percentile bootstrap.

Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. The bootstrap draws patients, not
images: images of one patient are alike, and drawing them one by one would make the intervals too narrow.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.metrics import CLASS_METRIC_NAMES, METRIC_NAMES, defined
from helpers.evaluation.weighted_metrics import (
    SENSITIVITY,
    Labels,
    Scores,
    Values,
    weighted_auc,
    weighted_metrics,
)

PERCENTILES = (2.5, 97.5)
# A metric undefined more often than this among the resamples has no interval.
MOST_UNDEFINED = 0.05
ROWS_AT_ONCE = 100

Interval = tuple[float, float] | None


class Intervals(NamedTuple):
    """(low, high) by metric, overall and for each of more than two classes; None if undefined."""

    overall: dict[str, Interval]
    by_class: list[dict[str, Interval]]


def bootstrap_intervals(
    labels: Labels,
    scores: Scores,
    groups: NDArray[np.str_] | None,
    threshold: float,
    seed: int,
    resamples: int = 2000,
) -> Intervals:
    """Compute the 95 % interval of every metric that test.csv and test_classes.csv report.

    Args:
        labels: (N,), 0 to k - 1.
        scores: (N,), probability of class 1; (N, k) with more than two classes.
        groups: (N,), the patient of each image; None if unknown: then images are drawn.
        threshold: with two classes, scores at or above it count as class 1.
        seed: at least 0; the same seed gives the same intervals.
        resamples: number of times that all groups are drawn with replacement.

    Returns:
        Intervals of METRIC_NAMES without `val_loss`, SENSITIVITY, and CLASS_METRIC_NAMES for each class.
        None if the metric is undefined, also in more than 5 % of the resamples. The interval of
        `calibration_error` is biased upward, because resampling adds noise to the bins.

    Raises:
        ValueError: as `evaluate`, or the numbers of groups and labels differ.
    """
    parts = [
        weighted_metrics(labels, scores, weights, threshold)
        for weights in _resampled(len(labels), groups, seed, resamples)
    ]
    overall = _joined([part.overall for part in parts])
    by_class = _joined([part.by_class for part in parts])
    num_classes = len(by_class[SENSITIVITY].T)
    return Intervals(
        {name: _interval(overall[name]) for name in (*METRIC_NAMES[1:], SENSITIVITY)},
        [
            {name: _interval(by_class[name][:, label]) for name in CLASS_METRIC_NAMES}
            for label in range(num_classes if num_classes > 1 else 0)
        ],
    )


def _joined(tables: Sequence[dict[str, Values]]) -> dict[str, Values]:
    """Concatenate the values of all resamples, by name."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def paired_difference(
    labels: Labels,
    scores_a: Scores,
    scores_b: Scores,
    groups: NDArray[np.str_] | None,
    seed: int,
    resamples: int = 2000,
) -> dict[str, float | None]:
    """Compare the ROC-AUC of two models on the same images, with the same resamples for both.

    Args:
        labels, scores_a, scores_b: as in `bootstrap_intervals`, in the same order of images.
        groups, seed, resamples: as in `bootstrap_intervals`.

    Returns:
        `difference`: AUC of a minus AUC of b; `low` and `high`: its 95 % interval. None if undefined.

    Raises:
        ValueError: as `bootstrap_intervals`.
    """

    def difference(weights: Values) -> Values:
        return weighted_auc(labels, scores_a, weights) - weighted_auc(labels, scores_b, weights)

    drawn = [difference(weights) for weights in _resampled(len(labels), groups, seed, resamples)]
    low, high = _interval(np.concatenate(drawn)) or (None, None)
    observed = defined(float(difference(np.ones((1, len(labels))))[0]))
    return {"difference": observed, "low": low, "high": high}


def auc_standard_error(auc: float, positives: int, negatives: int) -> float:
    """Return the standard error of an AUC (Hanley & McNeil 1982, Radiology 143, equation 2).

    It is too small if several images show one patient.
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return math.sqrt(max(0.0, spread) / (positives * negatives))


def _resampled(
    num_images: int, groups: NDArray[np.str_] | None, seed: int, resamples: int
) -> Iterator[Values]:
    """Yield how often each image is drawn in each resample, float64 (up to ROWS_AT_ONCE, num_images)."""
    names = np.arange(num_images) if groups is None else np.asarray(groups)
    if len(names) != num_images:
        raise ValueError(f"{len(names)} groups and {num_images} labels")
    unique, group_of = np.unique(names, return_inverse=True)
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, ROWS_AT_ONCE):
        rows = min(ROWS_AT_ONCE, resamples - start)
        drawn = generator.integers(len(unique), size=(rows, len(unique)))
        cells = (drawn + np.arange(rows)[:, None] * len(unique)).ravel()
        counts = np.bincount(cells, minlength=rows * len(unique)).reshape(rows, len(unique))
        yield counts[:, group_of].astype(np.float64)


def _interval(values: Values) -> Interval:
    known = values[~np.isnan(values)]
    if len(known) < (1 - MOST_UNDEFINED) * len(values):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)
