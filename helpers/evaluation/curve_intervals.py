"""Intervals of average precision, and of the sensitivity at a specificity."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, expit, logit, stdtrit

from helpers.evaluation.metrics import SPECIFICITY
from helpers.evaluation.proportions import (
    TAIL,
    Flags,
    Interval,
    Values,
    effective_number,
    per_patient,
    proportion_interval,
)

SHARE = 1 - SPECIFICITY


def sensitivity_interval(is_positive: Flags, scores: Values, patients: NDArray[np.int64]) -> Interval:
    """Return the interval of the sensitivity at SPECIFICITY; None without both classes.

    The negative images leave the threshold uncertain: its limits are order statistics with exact binomial
    ranks. The positive images leave the sensitivity at a threshold uncertain: its limits are exact. Both
    distances add in squares, as the images differ (Zou & Donner 2008).
    """
    if not is_positive.any() or is_positive.all():
        return None
    negatives = np.sort(scores[~is_positive])[::-1]  # falling
    allowed = math.floor(len(negatives) * SHARE + 1e-9)
    above = per_patient(~is_positive & (scores > negatives[allowed]), patients)
    images = per_patient(~is_positive, patients)
    number = max(1, round(effective_number(above[images > 0], images[images > 0])))
    ranks = bdtr(np.arange(number + 1), number, SHARE)
    fewest, most = (int(np.argmax(ranks >= end)) / number * len(negatives) for end in (TAIL, 1 - TAIL))

    def share_above(threshold: float) -> float:
        return float((scores[is_positive] > threshold).mean())

    strict = share_above(negatives[math.floor(fewest + 1e-9) - 1]) if fewest >= 1 else 0.0
    last = math.ceil(most - 1e-9)
    loose = share_above(negatives[last]) if last < len(negatives) else 1.0
    interval = proportion_interval(scores > negatives[allowed], is_positive, patients)
    value = share_above(negatives[allowed])
    low, high = interval or (0.0, 1.0)
    below, over = math.hypot(value - low, value - strict), math.hypot(high - value, loose - value)
    return max(0.0, value - below), min(1.0, value + over)


def average_precision_interval(value: float, without: Values, images: Values) -> Interval:
    """Return the interval of an average precision on the scale of the logit.

    The error is that of a jackknife over patients, but at least the binomial one of Boyd, Eng & Page 2013,
    "Area under the precision-recall curve: point estimates and confidence intervals", with each patient
    counted once.

    Args:
        value: the average precision.
        without: (G,), its values without each of G groups of patients; NaN where it is undefined.
        images: (P,), number of positive images of each patient.
    """
    known, number = without[~np.isnan(without)], int((images > 0).sum())
    if math.isnan(value) or len(known) < 2:
        return None
    effective = effective_number(np.zeros(number), images[images > 0])
    inside = min(max(value, 0.001), 1 - 0.5 / (effective + 1))
    jackknife = math.sqrt(float(((known - known.mean()) ** 2).sum()) * (len(known) - 1) / len(known))
    error = max(jackknife, math.sqrt(inside * (1 - inside) / effective))
    low, high = _logit_limits(inside, error, number)
    return min(low, value), 1.0 if value == 1 else max(high, value)


def _logit_limits(value: float, error: float, patients: int) -> tuple[float, float]:
    distance = float(stdtrit(max(1, patients - 1), 1 - TAIL)) * error / (value * (1 - value))
    return float(expit(logit(value) - distance)), float(expit(logit(value) + distance))
