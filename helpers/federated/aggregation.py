"""How the clients' updates become one model."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import Weights

CHUNK = 1 << 15
"""Numbers added at a time: their float64 products, 256 KiB, stay in the processor's cache."""


def chunks(size: int) -> Iterator[slice]:
    """Cut `size` numbers into parts of CHUNK, so that no float64 copy of a whole layer is needed."""
    return (slice(start, start + CHUNK) for start in range(0, size, CHUNK))


def weighted_mean(updates: Iterable[tuple[Weights, float]]) -> Weights:
    """Average weights layer by layer (McMahan et al. 2017, Algorithm 1, "FedAvg").

    w = Σ_k (n_k / Σ n) · w_k, summed in float64 in the order given and rounded once to the
    dtype of the first update. Reads one update at a time and lets go of it before it asks for the
    next: in memory are one update and the float64 sums, at the end the sums and the mean; for
    float32 three times the model, however many updates there are.

    Args:
        updates: pairs of weights (arrays in model order) and their factor n_k > 0.

    Returns:
        The mean, dtypes and shapes of the first update.

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
        layer = sums.pop(0)  # each sum goes as its layer of the mean comes
        layer /= total
        mean.append(layer.astype(dtype).reshape(shape))
    return mean


def _add(sums: list[NDArray[np.float64]], weights: Weights, factor: float) -> None:
    """Add `factor` times the weights to the sums (flat)."""
    products = np.empty(CHUNK, np.float64)
    for layer_sum, array in zip(sums, weights, strict=True):
        flat = array.reshape(-1)
        for chunk in chunks(flat.size):
            part = flat[chunk]
            product = products[: part.size]
            product[:] = part
            product *= factor
            layer_sum[chunk] += product


def update_factor(strategy: str, num_examples: int) -> float:
    """What one client's update counts in the mean under STRATEGY; robust rules do not look at it."""
    return 1.0 if strategy in ("fedavg_unweighted", "scaffold") else float(num_examples)
