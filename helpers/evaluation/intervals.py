"""How far a metric is to be believed: 95 % intervals by the percentile bootstrap.

Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. Whole patients are drawn, not
images: images of one patient resemble each other, and drawn one by one they would promise too much.
"""

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
    """(low, high) of metrics by name, over all and for each of more than two classes; None: undefined."""

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
        scores: (N,), probability of class 1; (N, k) where there are more than two classes.
        groups: (N,), the patient of each image; None where none is known: images are drawn.
        threshold: of two classes, scores at or above it count as class 1.
        seed: at least 0; the same seed gives the same intervals.
        resamples: how many times the groups are drawn, with replacement, as many as there are.

    Returns:
        Those of METRIC_NAMES after `val_loss`, SENSITIVITY, and those of CLASS_METRIC_NAMES.
        None where the metric is undefined, or undefined in more than 5 % of the resamples. That of
        `calibration_error` lies high: resampling adds noise, and any noise is a calibration error.

    Raises:
        ValueError: as `evaluate`, or another number of groups than of labels.
    """
    parts = [
        weighted_metrics(labels, scores, weights, threshold)
        for weights in _resampled(len(labels), groups, seed, resamples)
    ]
    overall, by_class = (_joined(tables) for tables in zip(*parts, strict=True))
    num_classes = len(by_class[SENSITIVITY].T)
    return Intervals(
        {name: _interval(overall[name]) for name in (*METRIC_NAMES[1:], SENSITIVITY)},
        [
            {name: _interval(by_class[name][:, label]) for name in CLASS_METRIC_NAMES}
            for label in range(num_classes if num_classes > 1 else 0)
        ],
    )


def _joined(tables: Sequence[dict[str, Values]]) -> dict[str, Values]:
    """The values of all resamples by name."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def paired_difference(
    labels: Labels,
    scores_a: Scores,
    scores_b: Scores,
    groups: NDArray[np.str_] | None,
    seed: int,
    resamples: int = 2000,
) -> dict[str, float | None]:
    """Compare the ROC-AUC of two models on the same images: both see the same resamples.

    Args:
        labels, scores_a, scores_b: as in `bootstrap_intervals`, in the same order by either model.
        groups, seed, resamples: as in `bootstrap_intervals`.

    Returns:
        `difference`: AUC of a minus AUC of b; `low` and `high`: its 95 % interval. None where undefined.

    Raises:
        ValueError: as `bootstrap_intervals`.
    """

    def difference(weights: Values) -> Values:
        return weighted_auc(labels, scores_a, weights) - weighted_auc(labels, scores_b, weights)

    drawn = [difference(weights) for weights in _resampled(len(labels), groups, seed, resamples)]
    low, high = _interval(np.concatenate(drawn)) or (None, None)
    observed = defined(float(difference(np.ones((1, len(labels))))[0]))
    return {"difference": observed, "low": low, "high": high}


def _resampled(
    num_images: int, groups: NDArray[np.str_] | None, seed: int, resamples: int
) -> Iterator[Values]:
    """How often each image counts in each resample, float64 (at most ROWS_AT_ONCE, num_images)."""
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
