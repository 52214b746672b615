"""How far an AUC may lie from that of other images: from the scores, or without them from counts alone."""

import math

from helpers.evaluation.intervals import bootstrap_intervals
from helpers.reporting.run_files import SplitScores

RESAMPLES = 500


def auc_standard_error(auc: float, positives: int, negatives: int) -> float:
    """Standard error of an AUC (Hanley & McNeil 1982, Radiology 143, equation 2).

    Too small where several images show one patient.
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return math.sqrt(max(0.0, spread) / (positives * negatives))


def auc_error_by_bootstrap(split: SplitScores) -> float:
    """Half the 95 % interval of the AUC when whole patients are drawn; 0 where it is not defined."""
    labels, scores, patients = split.labels, split.scores, split.patients
    intervals = bootstrap_intervals(labels, scores, patients, 0.5, seed=0, resamples=RESAMPLES)
    interval = intervals.overall["roc_auc"]
    return (interval[1] - interval[0]) / 2 if interval else 0.0
