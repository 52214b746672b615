"""Federated averaging: the weighted mean of model weights, layer by layer."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import Weights

CHUNK = 1 << 15
"""Numbers added at a time: their float64 products, 256 KiB, stay in the processor's cache."""


def weighted_mean(updates: Iterable[tuple[Weights, float]]) -> Weights:
    """Return the mean of weights, layer by layer (McMahan et al. 2017, Algorithm 1, "FedAvg").

    w = Σ_k (n_k / Σ n) · w_k, from pairs of weights w_k (arrays in model order) and their factor n_k > 0. The
    sum is in float64, in the order given, and rounded once to the dtype of the first update. In memory are
    the sums and one update at a time.

    Raises:
        ValueError: no update, a factor that is not positive, or arrays that differ in number or shape.
    """
    specs: list[tuple[tuple[int, ...], np.dtype[np.generic]]] = []
    sums: list[NDArray[np.float64]] = []
    total = 0.0
    for weights, factor in updates:
        if not factor > 0:
            raise ValueError(f"the weight of an update must be positive, received {factor}")
        if not sums:
            specs = [(array.shape, array.dtype) for array in weights]
            sums = [np.zeros(array.size, np.float64) for array in weights]
        if [array.shape for array in weights] != [shape for shape, _ in specs]:
            raise ValueError("updates differ in number or shape of their arrays")
        _add(sums, weights, factor)
        total += factor
        del weights  # before the next one is fetched
    if not sums:
        raise ValueError("no update to average")
    mean: Weights = []
    for shape, dtype in specs:
        layer = sums.pop(0)  # frees each sum as soon as its layer of the mean exists
        layer /= total
        mean.append(layer.astype(dtype).reshape(shape))
    return mean


def _add(sums: list[NDArray[np.float64]], weights: Weights, factor: float) -> None:
    """Add `factor` times the weights to the flat sums."""
    products = np.empty(CHUNK, np.float64)
    for layer_sum, array in zip(sums, weights, strict=True):
        flat = array.reshape(-1)
        for chunk in chunks(flat.size):
            product = products[: flat[chunk].size]
            product[:] = flat[chunk]
            product *= factor
            layer_sum[chunk] += product


def chunks(size: int) -> Iterator[slice]:
    """Divide `size` numbers into slices of CHUNK, so that no float64 copy of a whole layer is needed."""
    return (slice(start, start + CHUNK) for start in range(0, size, CHUNK))
