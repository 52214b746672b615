"""Selection of cases: the most confident correct and wrong decisions of a model."""

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.metrics import Labels, Scores, checked, decide
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE


def surest_cases(
    labels: Labels, scores: Scores, threshold: float | None, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Select the most confident correct and wrong decisions of every class.

    Each class is ranked separately, because a model biased to one class would fill the list with it.

    Args:
        labels: (N,), 0 to k - 1.
        scores: (N,), probability of class 1: the most confident are farthest from the threshold. (N, k) with
            more than two classes: the most confident have the highest probability of the decided class.
        threshold: with two classes, scores at or above it count as class 1; None with more.
        count: half the maximum number of correct, and of wrong, decisions.

    Returns:
        Indices of the correct and of the wrong decisions, each (at most 2 * count,). With two classes: up to
        `count` cancers, then up to `count` non-cancers, each most confident first, ties in order. With more:
        the most confident of every true class, by confidence, then the second of every class, and so on.

    Raises:
        ValueError: as `checked`.
    """
    labels, scores = checked(labels, scores)
    is_right = decide(scores, WITHOUT_CHOICE if threshold is None else threshold) == labels
    if threshold is None:
        confidence = scores.max(axis=1)
        right, wrong = (_by_turns(labels, confidence, kind)[: 2 * count] for kind in (is_right, ~is_right))
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
    labels: NDArray[np.int64], confidence: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Return indices of the chosen: the most confident of every class, then the second, and so on."""
    order = np.argsort(-confidence, kind="stable")
    order = order[chosen[order]]
    turns = np.zeros(len(order), np.int64)
    for label in np.unique(labels):
        is_of_class = labels[order] == label
        turns[is_of_class] = np.arange(is_of_class.sum())
    return order[np.argsort(turns, kind="stable")]
