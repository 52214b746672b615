"""The decisions a model was surest of: the right ones show what it learnt, the wrong ones what it missed."""

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.weighted_metrics import Labels, Scores, checked


def surest_cases(
    labels: Labels, scores: Scores, threshold: float, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the surest right and the surest wrong decisions.

    How sure: the score's distance from the threshold, as part of the way to 1 or to 0; so a low threshold
    does not make every negative decision look unsure.

    Args:
        labels: (N,), 0 or 1.
        scores: (N,), probability of class 1.
        threshold: scores at or above it count as class 1.
        count: how many of each kind at most.

    Returns:
        Positions of the right and of the wrong decisions, each (at most count,), surest first, equally
        sure ones in order.

    Raises:
        ValueError: as `binary_metrics`.
    """
    labels, scores = checked(labels, scores)
    decisions = scores >= threshold
    room = np.where(decisions, 1 - threshold, threshold)
    sureness = np.abs(scores - threshold) / np.maximum(room, np.finfo(np.float64).tiny)
    order = np.argsort(-sureness, kind="stable")
    is_right = (decisions == labels)[order]
    return order[is_right][:count], order[~is_right][:count]
