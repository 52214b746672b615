"""Interval of the mean AUC of several trainings, which counts trainings as well as patients.

Trainings are to patients what readers are to cases (Obuchowski & Rockette 1995, "Hypothesis testing of
diagnostic accuracy for multiple readers and multiple tests"; degrees of freedom of Hillis 2007). The variance
of the mean over R trainings is s² / R + Cov: s² is the variance between their AUCs, and Cov is the covariance
of two of them through the patients that both are tested on. It is 0 where each patient is in one test, as
with folds. The interval is symmetric on the logit scale.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from helpers.evaluation.auc_intervals import AucParts, auc_parts
from helpers.evaluation.proportions import TAIL, Interval, Values


class ScoredTest(NamedTuple):
    """The test of one training.

    Attributes:
        labels: int (N,), 0 to k - 1.
        scores: float (N,), or (N, k) with more than two classes.
        patients: str (N,).
    """

    labels: NDArray[np.integer]
    scores: Values
    patients: NDArray[np.str_]


def mean_auc_interval(tests: Sequence[ScoredTest]) -> Interval:
    """Return the interval of the mean AUC of at least two trainings; None if it is undefined.

    With more than two classes, an AUC is the mean over the classes, each against the rest.
    """
    numbers = {
        name: number for number, name in enumerate(np.unique(np.concatenate([t.patients for t in tests])))
    }
    parts = [_auc_and_influence(test, numbers) for test in tests]
    if any(part is None for part in parts):
        return None
    aucs = np.array([part[0] for part in parts if part is not None])
    influences = np.array([part[1] for part in parts if part is not None])
    mean = float(aucs.mean())
    error = standard_error(aucs, influences)
    if not 0 < mean < 1 or error is None:
        return None
    logit, width = math.log(mean / (1 - mean)), error / (mean * (1 - mean))
    return _expit(logit - width), _expit(logit + width)


def standard_error(aucs: Values, influences: Values) -> float | None:
    """Return the standard error of the mean of AUCs times Student's quantile.

    Args:
        aucs: (R,), of the trainings.
        influences: (R, P), what each patient contributes to the error of each AUC; 0 if not in its test.
    """
    number = len(aucs)
    between = float(aucs.var(ddof=1))
    of_patients = float((influences.mean(axis=0) ** 2).sum())
    within = float((influences**2).sum(axis=1).mean())
    covariance = max(0.0, (number * of_patients - within) / (number - 1))
    variance = between / number + covariance
    patients_left = max(1, int((influences != 0).any(axis=0).sum()) - 1)
    if variance <= of_patients:  # trainings differ less than their patients explain
        return math.sqrt(of_patients) * float(stdtrit(patients_left, 1 - TAIL)) if of_patients else None
    freedom = (between + number * covariance) ** 2 * (number - 1) / between**2
    return math.sqrt(variance) * float(stdtrit(min(freedom, patients_left), 1 - TAIL))


def _auc_and_influence(test: ScoredTest, numbers: dict[str, int]) -> tuple[float, Values] | None:
    """Return the AUC of a test and the influence of every patient, also of those in other tests."""
    patients = np.array([numbers[name] for name in test.patients], np.int64)
    if test.scores.ndim == 1:
        classes: list[AucParts | None] = [auc_parts(test.labels, test.scores, patients)]
    else:
        labels = range(test.scores.shape[1])
        classes = [auc_parts((test.labels == k).astype(int), test.scores[:, k], patients) for k in labels]
    known = [part for part in classes if part is not None]
    if len(known) < len(classes):
        return None
    influence = np.zeros(len(numbers))
    for part in known:
        influence[: len(part.influence)] += part.influence / len(known)
    return float(np.mean([part.auc for part in known])), influence


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))
