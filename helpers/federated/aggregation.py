"""How the clients' updates become one model."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import Weights


def weighted_mean(updates: Iterable[tuple[Weights, float]]) -> Weights:
    """Average weights layer by layer (McMahan et al. 2017, Algorithm 1, "FedAvg").

    w = Σ_k (n_k / Σ n) · w_k, summed in float64 in the order given and rounded once to the
    dtype of the first update. Reads one update at a time: at most that update and the
    float64 sums are in memory.

    Args:
        updates: pairs of weights (arrays in model order) and their factor n_k > 0.

    Returns:
        The mean, dtypes and shapes of the first update.

    Raises:
        ValueError: no update, a factor that is not positive, or arrays that differ in number or shape.
    """
    sums: list[NDArray[np.float64]] = []
    dtypes: list[np.dtype[np.generic]] = []
    total = 0.0
    for weights, factor in updates:
        if not factor > 0:
            raise ValueError(f"the weight of an update must be positive, received {factor}")
        if not sums:
            sums = [np.zeros(array.shape, np.float64) for array in weights]
            dtypes = [array.dtype for array in weights]
        if [array.shape for array in weights] != [array.shape for array in sums]:
            raise ValueError("updates differ in number or shape of their arrays")
        for layer_sum, array in zip(sums, weights, strict=True):
            layer_sum += np.multiply(array, factor, dtype=np.float64)
        total += factor
    if not sums:
        raise ValueError("no update to average")
    return [(layer / total).astype(dtype) for layer, dtype in zip(sums, dtypes, strict=True)]


def update_factor(strategy: Literal["fedavg", "fedavg_unweighted"], num_examples: int) -> float:
    """What one client's update counts in the mean under `strategy`."""
    return float(num_examples) if strategy == "fedavg" else 1.0
