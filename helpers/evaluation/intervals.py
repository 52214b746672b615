"""Confidence intervals of metrics: 95 %, with patients as the unit.

Images of one patient are alike, and counting them as independent would make the intervals too narrow. The
methods are in `proportions`, `auc_intervals` and `curve_intervals`. Their coverage is in docs/coverage.md.
Metrics without a method that covers have no interval: Brier score and calibration error.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.auc_intervals import auc_interval, auc_parts, difference_interval
from helpers.evaluation.curve_intervals import average_precision_interval, sensitivity_interval
from helpers.evaluation.metrics import (
    CLASS_METRIC_NAMES,
    METRIC_NAMES,
    SENSITIVITY,
    Labels,
    Scores,
    checked,
    decide,
    defined,
    one_against_rest,
    ranking,
)
from helpers.evaluation.proportions import (
    Flags,
    Interval,
    Values,
    mean_of_dependent,
    mean_of_independent,
    per_patient,
    proportion_interval,
)

FEW_TEST_PATIENTS = 50
"""With fewer patients, intervals are so wide that a test says little."""
GROUPS = 200  # of patients at most, in the jackknife

Patients = NDArray[np.int64]


class Intervals(NamedTuple):
    """(low, high) by metric, overall and for each of more than two classes; None if there is none."""

    overall: dict[str, Interval]
    by_class: list[dict[str, Interval]]


def metric_intervals(
    labels: Labels, scores: Scores, groups: NDArray[np.str_] | None, threshold: float
) -> Intervals:
    """Compute the 95 % interval of the metrics that test.csv and test_classes.csv report.

    Args:
        labels: (N,), 0 to k - 1.
        scores: (N,), probability of class 1; (N, k) with more than two classes.
        groups: (N,), the patient of each image; None if unknown: then images are independent.
        threshold: with two classes, scores at or above it count as class 1.

    Returns:
        Intervals of METRIC_NAMES without `val_loss`, SENSITIVITY, and CLASS_METRIC_NAMES for each class.
        None if the metric is undefined or has no interval that covers.

    Raises:
        ValueError: as `evaluate`, or the numbers of groups and labels differ.
    """
    labels, scores = checked(labels, scores)
    patients = _numbered(len(labels), groups)
    decisions = decide(scores, threshold)
    classes = [1] if scores.ndim == 1 else list(range(scores.shape[1]))
    jackknife = _average_precisions(labels, scores, patients)
    by_class = [
        _of_class(truth == 1, decisions == label, values, patients, jackknife[:, place])
        for place, (label, (truth, values)) in enumerate(
            zip(classes, one_against_rest(labels, scores), strict=True)
        )
    ]
    everything = np.ones(len(labels), dtype=bool)
    overall = dict.fromkeys((*METRIC_NAMES[1:], SENSITIVITY), None) | {
        "accuracy": proportion_interval(decisions == labels, everything, patients),
        "balanced_accuracy": _balanced_accuracy(labels, decisions, patients, scores),
    }
    overall |= {name: mean_of_dependent([own[name] for own in by_class]) for name in CLASS_METRIC_NAMES}
    if scores.ndim == 1:
        return Intervals(overall, [])
    return Intervals(overall | {"recall": overall["balanced_accuracy"]}, by_class)


def auc_error(labels: Labels, scores: Scores, groups: NDArray[np.str_] | None) -> float | None:
    """Return half the width of the AUC's interval with two classes; None if it is undefined."""
    interval = auc_interval(auc_parts(labels, scores.astype(np.float64), _numbered(len(labels), groups)))
    return None if interval is None else (interval[1] - interval[0]) / 2


def paired_difference(
    labels: Labels, scores_a: Scores, scores_b: Scores, groups: NDArray[np.str_] | None
) -> dict[str, float | None]:
    """Compare the ROC-AUC of two models on the same images; see `auc_intervals.difference_interval`.

    Args:
        labels, scores_a, scores_b: as in `metric_intervals`, in the same order of images.
        groups: as in `metric_intervals`.

    Returns:
        `difference`: AUC of a minus AUC of b; `low` and `high`: its 95 % interval. None if undefined.

    Raises:
        ValueError: as `metric_intervals`.
    """
    patients = _numbered(len(labels), groups)
    (labels, scores_a), (_, scores_b) = checked(labels, scores_a), checked(labels, scores_b)
    pairs = list(zip(one_against_rest(labels, scores_a), one_against_rest(labels, scores_b), strict=True))
    differences = [ranking(truth, a)[0] - ranking(truth, b)[0] for (truth, a), (_, b) in pairs]
    intervals = [_difference(truth, a, b, patients) for (truth, a), (_, b) in pairs]
    low, high = mean_of_dependent(intervals) or (None, None)
    return {"difference": defined(float(np.mean(differences))), "low": low, "high": high}


def _difference(truth: NDArray[np.int64], a: Values, b: Values, patients: Patients) -> Interval:
    one, other = auc_parts(truth, a, patients), auc_parts(truth, b, patients)
    if one is None or other is None:
        return None
    if np.array_equal(np.unique(a, return_inverse=True)[1], np.unique(b, return_inverse=True)[1]):
        return 0.0, 0.0  # both rank the images alike
    return difference_interval(one, other)


def _numbered(num_images: int, groups: NDArray[np.str_] | None) -> Patients:
    """Return the patient of each image as a number from 0."""
    names = np.arange(num_images) if groups is None else np.asarray(groups)
    if len(names) != num_images:
        raise ValueError(f"{len(names)} groups and {num_images} labels")
    numbers: Patients = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return numbers


def _of_class(
    truth: Flags, said: Flags, scores: Values, patients: Patients, average_precisions: Values
) -> dict[str, Interval]:
    """Return the intervals of CLASS_METRIC_NAMES for a class against the rest."""
    value, *without = average_precisions.tolist()
    # F1 rises with the share of hits among the images that are of the class or decided to be.
    share = proportion_interval(truth & said, truth | said, patients)
    return {
        "precision": proportion_interval(truth, said, patients),
        "recall": proportion_interval(said, truth, patients),
        "f1_score": share and (2 * share[0] / (1 + share[0]), 2 * share[1] / (1 + share[1])),
        "roc_auc": auc_interval(auc_parts(truth.astype(np.int64), scores, patients)),
        "average_precision": average_precision_interval(
            value, np.array(without), per_patient(truth, patients)
        ),
        "specificity": proportion_interval(~said, ~truth, patients),
        SENSITIVITY: sensitivity_interval(truth, scores, patients),
    }


def _balanced_accuracy(
    labels: NDArray[np.int64], decisions: NDArray[np.int64], patients: Patients, scores: Scores
) -> Interval:
    """Return the interval of the mean recall of the classes, whose images differ."""
    own = [labels == label for label in range(2 if scores.ndim == 1 else scores.shape[1])]
    if not all(of.any() for of in own):
        return None
    right = decisions == labels
    intervals: Sequence[Interval] = [proportion_interval(right, of, patients) for of in own]
    return mean_of_independent([float(right[of].mean()) for of in own], intervals)


def _average_precisions(labels: NDArray[np.int64], scores: Values, patients: Patients) -> Values:
    """Return the average precision of each class with all patients, then without each group: (G + 1, k)."""
    group_of = patients % min(GROUPS, int(patients.max()) + 1)
    kept = [np.ones(len(labels), bool), *(group_of != group for group in range(group_of.max() + 1))]
    classes = one_against_rest(labels, scores)
    return np.array([[ranking(truth[rows], score[rows])[1] for truth, score in classes] for rows in kept])
