"""Rules that combine updates coordinate by coordinate.

The order of the clients changes no bit. If fewer than half of the updates are malicious, every coordinate of
the median or of a trimmed mean lies between two honest clients' values, so a moving variance cannot become
negative (Yin et al. 2018, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates").
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.weights import Weights, check_alike

Block = NDArray[np.float64]


def combine_by_coordinate(updates: Sequence[Weights], rule: Callable[[Block], Block]) -> Weights:
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
