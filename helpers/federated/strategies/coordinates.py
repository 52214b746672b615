"""Robust rules that look at every coordinate by itself.

Of K updates fewer than half may lie (Yin et al. 2018, "Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates"): every coordinate of the outcome lies between two honest clients' values of it. So a
moving variance cannot become negative. The order of the clients changes no bit.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.weights import Weights, check_alike

Block = NDArray[np.float64]


def median(updates: Sequence[Weights]) -> Weights:
    """Return the coordinate-wise median (Yin et al. 2018, Definition 1).

    The mean of the middle two where their number is even. Holds out against fewer than half.

    Args:
        updates: the clients' weights, arrays in model order.

    Raises:
        ValueError: no update, or arrays that differ in number or shape.
    """
    return _by_coordinate(updates, lambda block: np.median(block, axis=0))


def trimmed_mean(updates: Sequence[Weights], trimmed: int) -> Weights:
    """Return the coordinate-wise trimmed mean (Yin et al. 2018, Definition 2).

    The mean of what is left of each coordinate without the `trimmed` largest and as many smallest values.
    Holds out against `trimmed` liars. Without any trimmed, it is the plain mean.

    Args:
        updates: the clients' weights, arrays in model order.
        trimmed: 0 to below half of them.

    Raises:
        ValueError: nothing would be left, or arrays that differ in number or shape.
    """
    kept = slice(trimmed, len(updates) - trimmed)
    if trimmed < 0 or kept.start >= kept.stop:
        raise ValueError(f"{trimmed} trimmed at each end of {len(updates)} updates leave nothing")
    return _by_coordinate(updates, lambda block: np.sort(block, axis=0)[kept].mean(axis=0))


def _by_coordinate(updates: Sequence[Weights], rule: Callable[[Block], Block]) -> Weights:
    """Apply `rule`, (K, N) to (N,), to the K values of every coordinate in float64."""
    if not updates:
        raise ValueError("no update to combine")
    check_alike(updates)
    combined: Weights = []
    for arrays in zip(*updates, strict=True):
        rows = [array.reshape(-1) for array in arrays]
        layer = np.empty(rows[0].size, arrays[0].dtype)
        for chunk in chunks(layer.size):
            layer[chunk] = rule(np.array([row[chunk] for row in rows], np.float64))
        combined.append(layer.reshape(arrays[0].shape))
    return combined
