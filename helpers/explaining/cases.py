"""The decisions a model was surest of: the right ones show what it learnt, the wrong ones what it missed."""

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.threshold_rule import WITHOUT_CHOICE
from helpers.evaluation.weighted_metrics import Labels, Scores, checked, decide


def surest_cases(
    labels: Labels, scores: Scores, threshold: float | None, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the surest right and wrong decisions of every class.

    Each class by itself, because a model that leans to one class would fill a list with that class.

    Args:
        labels: (N,), 0 to k - 1.
        scores: (N,), probability of class 1: the surest are farthest from the threshold. (N, k) where there
            are more than two classes: the surest have the highest probability of the decided class.
        threshold: of two classes, scores at or above it count as class 1; None where there are more.
        count: half the number of right, and of wrong decisions, at most.

    Returns:
        Positions of the right and of the wrong decisions, each (at most 2 * count,). Of two classes: cancers
        first, at most `count`, then as many non-cancers; of either the surest first, equally sure ones in
        order. Of more: the surest of every true class, the surest of them first, then the next of every one.

    Raises:
        ValueError: as `checked`.
    """
    labels, scores = checked(labels, scores)
    is_right = decide(scores, WITHOUT_CHOICE if threshold is None else threshold) == labels
    if threshold is None:
        sureness = scores.max(axis=1)
        right, wrong = (_by_turns(labels, sureness, kind)[: 2 * count] for kind in (is_right, ~is_right))
        return right, wrong
    order = np.argsort(-np.abs(scores - threshold), kind="stable")
    is_cancer = (labels == 1)[order]
    is_right = is_right[order]
    right, wrong = (
        np.concatenate([order[kind & truth][:count] for truth in (is_cancer, ~is_cancer)])
        for kind in (is_right, ~is_right)
    )
    return right, wrong


def _by_turns(
    labels: NDArray[np.int64], sureness: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Positions of the chosen: the surest of every class, then the next of every class, and so on."""
    order = np.argsort(-sureness, kind="stable")
    order = order[chosen[order]]
    turns = np.zeros(len(order), np.int64)
    for label in np.unique(labels):
        is_of_class = labels[order] == label
        turns[is_of_class] = np.arange(is_of_class.sum())
    return order[np.argsort(turns, kind="stable")]
