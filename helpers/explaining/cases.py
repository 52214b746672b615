"""The decisions a model was surest of: the right ones show what it learnt, the wrong ones what it missed."""

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.weighted_metrics import Labels, Scores, checked


def surest_cases(
    labels: Labels, scores: Scores, threshold: float, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the surest true and false positives and negatives: those farthest from the threshold.

    Each of the four by itself, because a model that leans to one class would fill a list with that class.

    Args:
        labels: (N,), 0 or 1.
        scores: (N,), probability of class 1.
        threshold: scores at or above it count as class 1.
        count: how many of each of the four at most.

    Returns:
        Positions of the right and of the wrong decisions, each (at most 2 * count,): cancers first, then
        non-cancers; of either the surest first, equally sure ones in order.

    Raises:
        ValueError: as `checked`.
    """
    labels, scores = checked(labels, scores)
    order = np.argsort(-np.abs(scores - threshold), kind="stable")
    is_cancer = (labels == 1)[order]
    is_right = ((scores >= threshold) == labels)[order]
    right, wrong = (
        np.concatenate([order[kind & truth][:count] for truth in (is_cancer, ~is_cancer)])
        for kind in (is_right, ~is_right)
    )
    return right, wrong
