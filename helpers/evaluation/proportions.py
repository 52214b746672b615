"""Exact intervals of proportions whose images are clustered in patients.

Korn & Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts
estimated from survey data": the interval of Clopper & Pearson (1934) with an effective number of images.
The design effect is the variance of the ratio over patients (Rao & Scott 1992) divided by that of
independent images. It is at least 1. Where the proportion is 0 or 1, or patients are few, it cannot be
estimated. Then the images of a patient count as one observation.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, stdtrit

Interval = tuple[float, float] | None
Flags = NDArray[np.bool_]
Values = NDArray[np.float64]

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
Z = float(ndtri(1 - TAIL))
FEW_PATIENTS = 20
"""With fewer patients, the design effect is not estimated: its largest value is taken."""


def proportion_interval(right: Flags, of: Flags, patients: NDArray[np.int64]) -> Interval:
    """Return the interval of the share of `right` among the images `of`; None if there are none.

    Args:
        right, of: (N,), whether an image is counted in the numerator and in the denominator.
        patients: (N,), 0 to P - 1.
    """
    if not of.any():
        return None
    hits, sizes = per_patient(right & of, patients), per_patient(of, patients)
    hits, sizes = hits[sizes > 0], sizes[sizes > 0]
    share = float(hits.sum() / sizes.sum())
    return exact_interval(share, effective_number(hits, sizes), len(sizes))


def per_patient(values: NDArray[np.generic], patients: NDArray[np.int64]) -> Values:
    """Return the sum of the values of each patient, (P,)."""
    sums = np.bincount(patients, values.astype(np.float64), minlength=int(patients.max()) + 1)
    return sums.astype(np.float64)


def effective_number(hits: Values, sizes: Values) -> float:
    """Return the number of independent images that would be as informative as these.

    Args:
        hits, sizes: (P,), images of each patient in the numerator and in the denominator.
    """
    total, patients = float(sizes.sum()), len(sizes)
    share = float(hits.sum()) / total
    largest = float((sizes**2).sum()) / total
    if patients < FEW_PATIENTS or not 0 < share < 1:
        return total / largest
    variance = patients / (patients - 1) * float(((hits - share * sizes) ** 2).sum()) / total**2
    effect = variance * total / (share * (1 - share))
    return total / max(1.0, effect)


def exact_interval(share: float, number: float, patients: int) -> tuple[float, float]:
    """Return the interval of Clopper & Pearson of a share of `number` effective images.

    With an estimated variance, `number` is reduced by (z/t)² for the patients' degrees of freedom.
    """
    if patients >= FEW_PATIENTS:
        number *= (Z / float(stdtrit(patients - 1, 1 - TAIL))) ** 2
    hits = share * number
    low = float(betaincinv(hits, number - hits + 1, TAIL)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, number - hits, 1 - TAIL)) if hits < number else 1.0
    return low, high


def mean_of_independent(values: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """Return the interval of the mean of estimates from different images.

    Zou & Donner 2008, "Construction of confidence limits about effect measures": distances to the limits
    add in squares.
    """
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(values) or not known:
        return None
    mean = math.fsum(values) / len(values)
    below = math.hypot(*(value - low for value, (low, _) in zip(values, known, strict=True)))
    above = math.hypot(*(high - value for value, (_, high) in zip(values, known, strict=True)))
    return max(0.0, mean - below / len(values)), min(1.0, mean + above / len(values))


def mean_of_dependent(intervals: Sequence[Interval]) -> Interval:
    """Return the interval of the mean of estimates from the same images: the mean of the limits.

    It is wide enough for any correlation, because the standard deviation of a mean is at most the mean of
    the standard deviations.
    """
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals) or not known:
        return None
    low, high = (math.fsum(ends) / len(known) for ends in zip(*known, strict=True))
    return low, high
