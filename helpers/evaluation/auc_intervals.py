"""Intervals of the area under the ROC curve, with images clustered in patients.

Variances are those of DeLong, DeLong & Clarke-Pearson 1988, summed by patient (Obuchowski 1997,
"Nonparametric analysis of clustered ROC curve data"). The interval holds the AUCs whose own standard error
makes the observed one plausible (Newcombe 2006, "Confidence intervals for an effect size measure based on
the Mann-Whitney statistic. Part 2", method 5). So a perfect test of few images has a wide interval.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from helpers.evaluation.proportions import FEW_PATIENTS, TAIL, Interval, Values, Z, per_patient

STEPS = 60  # of the bisection


class AucParts(NamedTuple):
    """An AUC and what each patient contributes to it.

    Attributes:
        auc: the area.
        positive, negative: (P,), sums over a patient's images of each class of (component - AUC), divided by
            the number of images of the class.
        positives, negatives: (P,), number of a patient's images of each class.
    """

    auc: float
    positive: Values
    negative: Values
    positives: Values
    negatives: Values

    @property
    def influence(self) -> Values:
        """Contribution of each patient to the AUC's error, (P,), with Obuchowski's factors."""
        return self.positive * _factor(self.positives) + self.negative * _factor(self.negatives)

    @property
    def variance(self) -> float:
        """Variance of the AUC, clustered by patient."""
        return float((self.influence**2).sum())

    @property
    def patients(self) -> int:
        """Number of patients with images of the rarer class."""
        return min(int((self.positives > 0).sum()), int((self.negatives > 0).sum()))

    @property
    def quantile(self) -> float:
        """Student's quantile for that number of patients."""
        return float(stdtrit(max(1, self.patients - 1), 1 - TAIL))

    @property
    def has_variance(self) -> bool:
        """Whether patients suffice to estimate the variance."""
        return self.patients >= FEW_PATIENTS and self.variance > 0 and 0 < self.auc < 1


def auc_parts(labels: NDArray[np.integer], scores: Values, patients: NDArray[np.int64]) -> AucParts | None:
    """Return the parts of the AUC; None if a class has no images.

    Args:
        labels: (N,), 0 or 1.
        scores: (N,).
        patients: (N,), 0 to P - 1.
    """
    is_positive = labels == 1
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return None
    components = np.empty(len(scores))
    components[is_positive] = _num_below(scores[is_positive], scores[~is_positive]) / negatives
    components[~is_positive] = 1 - _num_below(scores[~is_positive], scores[is_positive]) / positives
    auc = float(components[is_positive].mean())
    return AucParts(
        auc,
        per_patient((components - auc) * is_positive, patients) / positives,
        per_patient((components - auc) * ~is_positive, patients) / negatives,
        per_patient(is_positive, patients),
        per_patient(~is_positive, patients),
    )


def auc_interval(parts: AucParts | None) -> Interval:
    """Return the interval of an AUC; None if it is undefined."""
    if parts is None:
        return None
    positives, negatives = _effective_numbers(parts)
    quantile = parts.quantile if parts.has_variance else Z

    def is_plausible(auc: float) -> bool:
        return abs(parts.auc - auc) <= quantile * standard_error(auc, positives, negatives)

    return _limit(is_plausible, parts.auc, 0.0), _limit(is_plausible, parts.auc, 1.0)


def difference_interval(one: AucParts, other: AucParts) -> Interval:
    """Return the interval of the AUC of one model minus that of another, on the same images.

    It is the wider of two: of the variance of the difference (DeLong et al. 1988, by patient), and of both
    intervals with the correlation over patients (Zou & Donner 2008). The latter is right where an AUC is
    close to 1.
    """
    limits, other_limits = auc_interval(one), auc_interval(other)
    if limits is None or other_limits is None:
        return None
    spread = math.sqrt(one.variance * other.variance)
    correlation = float((one.influence * other.influence).sum()) / spread if spread else 0.0
    error = one.quantile * math.sqrt(float(((one.influence - other.influence) ** 2).sum()))

    def distance(a: float, b: float) -> float:
        return max(error, math.sqrt(max(0.0, a**2 + b**2 - 2 * correlation * a * b)))

    difference = one.auc - other.auc
    below = distance(one.auc - limits[0], other_limits[1] - other.auc)
    above = distance(limits[1] - one.auc, other.auc - other_limits[0])
    return max(-1.0, difference - below), min(1.0, difference + above)


def standard_error(auc: float, positives: float, negatives: float) -> float:
    """Return the standard error of an AUC (Hanley & McNeil 1982, Radiology 143, equation 2).

    It is too small if several images show one patient.
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return math.sqrt(max(0.0, spread) / (positives * negatives))


def _num_below(values: Values, others: Values) -> Values:
    """Return for each value how many others are below it, (N,); ties count half."""
    ranked = np.sort(others)
    number: Values = (np.searchsorted(ranked, values) + np.searchsorted(ranked, values, "right")) / 2
    return number


def _factor(images: Values) -> float:
    patients = int((images > 0).sum())
    return math.sqrt(patients / (patients - 1)) if patients > 1 else 1.0


def _effective_numbers(parts: AucParts) -> tuple[float, float]:
    """Return the numbers of independent images of each class that would be as informative as these.

    With few patients, the images of a patient count as one.
    """
    if not parts.has_variance:
        return _largest_effect(parts.positives), _largest_effect(parts.negatives)
    positives, negatives = float(parts.positives.sum()), float(parts.negatives.sum())
    effect = max(1.0, parts.variance / standard_error(parts.auc, positives, negatives) ** 2)
    return positives / effect, negatives / effect


def _largest_effect(images: Values) -> float:
    return float(images.sum() ** 2 / (images**2).sum())


def _limit(is_plausible: Callable[[float], bool], inside: float, end: float) -> float:
    """Return the last plausible value between a plausible one and an end."""
    if is_plausible(end):
        return end
    for _ in range(STEPS):
        middle = (inside + end) / 2
        inside, end = (middle, end) if is_plausible(middle) else (inside, middle)
    return inside
