"""Columns of a test: metrics with their 95 % intervals, under the names of test.csv."""

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.intervals import metric_intervals
from helpers.evaluation.metrics import Evaluation, Labels, Scores, evaluate
from helpers.evaluation.proportions import Interval

TestValues = dict[str, float | None]


def values_of_test(
    labels: Labels, scores: Scores, patients: NDArray[np.str_] | None, threshold: float
) -> TestValues:
    """Return all metrics with their intervals; arguments and errors as in `metric_intervals`."""
    evaluation = evaluate(labels, scores, threshold)
    intervals = metric_intervals(labels, scores, patients, threshold)
    return {**metrics_of_test(evaluation), **ends_of(intervals.overall)}


def metrics_of_test(evaluation: Evaluation) -> TestValues:
    """Return the metrics under their names in test.csv."""
    metrics = dict(evaluation.metrics)
    return {"test_loss": metrics.pop("val_loss"), **metrics}


def ends_of(intervals: dict[str, Interval]) -> TestValues:
    """Return the columns `…_low` and `…_high` of the intervals."""
    return {
        f"{name}_{end}": interval[place] if interval else None
        for name, interval in intervals.items()
        for place, end in enumerate(("low", "high"))
    }
