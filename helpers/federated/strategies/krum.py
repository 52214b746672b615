"""Krum and multi-Krum: trust those who are near to many others.

Blanchard et al. 2017, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent". With K
updates of which f may lie, K ≥ 2f + 3, the score of an update is the sum of its squared distances to its
K − f − 2 nearest others. Distances are over the trainable arrays together; all updates being changes of
the same global weights, those are distances of the changes as well.

If honest updates are within D of each other, every update that is chosen is honest or within
D · √((K − f − 2) / (K − 2f − 1)) of an honest one: another's score would be above every honest score.

That says nothing of arrays that are not trained, the moving statistics of batch normalization: a liar may
train honestly and send a variance of 1e30. So of these the outcome has the median over all updates, which
f < K / 2 liars cannot take out of the honest range.
"""

from collections.abc import Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks, weighted_mean
from helpers.federated.strategies.coordinates import median
from helpers.federated.weights import Weights, check_alike


def krum(updates: Sequence[Weights], trainable: Sequence[bool], liars: int) -> Weights:
    """Return the update with the lowest score, of equal ones the first, with the median moving statistics.

    Args:
        updates: the clients' weights, arrays in model order.
        trainable: one a array.
        liars: f, at least 0.

    Raises:
        ValueError: fewer than 2f + 3 updates, or arrays that differ in number or shape.
    """
    chosen = updates[_by_score(updates, trainable, liars)[0]]
    return _with_median_statistics(chosen, updates, trainable)


def multi_krum(updates: Sequence[Weights], trainable: Sequence[bool], liars: int) -> Weights:
    """Return the plain mean of the m = K − f updates with the lowest scores; the paper leaves m open.

    Moving statistics, arguments and errors as `krum`.
    """
    chosen = sorted(_by_score(updates, trainable, liars)[: len(updates) - liars])
    mean = weighted_mean((updates[index], 1.0) for index in chosen)
    return _with_median_statistics(mean, updates, trainable)


def _with_median_statistics(
    weights: Weights, updates: Sequence[Weights], trainable: Sequence[bool]
) -> Weights:
    """The weights, with the coordinate-wise median of all updates for the arrays that are not trained."""
    fixed = [not is_trained for is_trained in trainable]
    medians = iter(median([list(compress(update, fixed)) for update in updates]))
    return [next(medians) if is_fixed else own for own, is_fixed in zip(weights, fixed, strict=True)]


def _by_score(updates: Sequence[Weights], trainable: Sequence[bool], liars: int) -> list[int]:
    """Numbers of the updates, the lowest score first, equal ones in their order."""
    nearest = len(updates) - liars - 2
    if liars < 0 or len(updates) < 2 * liars + 3:
        raise ValueError(f"against {liars} liars {2 * liars + 3} updates are needed, not {len(updates)}")
    distances = squared_distances(updates, trainable)
    np.fill_diagonal(distances, -1)  # itself, sorted to the front and left out
    scores = np.sort(distances, axis=1)[:, 1 : nearest + 1].sum(axis=1)
    return [int(index) for index in np.argsort(scores, kind="stable")]


def squared_distances(updates: Sequence[Weights], trainable: Sequence[bool]) -> NDArray[np.float64]:
    """Return the (K, K) squared Euclidean distances over the trainable arrays together, in float64.

    Raises:
        ValueError: arrays that differ in number or shape.
    """
    check_alike(updates)
    distances = np.zeros((len(updates), len(updates)))
    for is_trained, *arrays in zip(trainable, *updates, strict=True):
        if not is_trained:
            continue
        rows = [array.reshape(-1) for array in arrays]
        for chunk in chunks(rows[0].size):
            block = np.array([row[chunk] for row in rows], np.float64)
            for index in range(len(rows) - 1):
                differences = block[index + 1 :] - block[index]
                distances[index, index + 1 :] += np.square(differences, out=differences).sum(axis=1)
    return distances + distances.T
