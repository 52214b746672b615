"""A bound on how far one client can move the model."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.weights import Weights, check_alike


def clip_update(
    weights: Weights, global_weights: Weights, trainable: Sequence[bool], max_norm: float
) -> Weights:
    """Shorten a client's change to `max_norm`.

    w + Δ / max(1, ‖Δ‖ / M), with Δ = w_k − w and its Euclidean norm over the trainable arrays together, in
    float64 (Sun et al. 2019, "Can You Really Backdoor Federated Learning?"). Arrays that are not
    trainable are neither counted nor changed; an update that is short enough comes back bit for bit.

    Args:
        weights: the client's, arrays in model order.
        global_weights: w, those the round began with.
        trainable: one a array.
        max_norm: M > 0.

    Raises:
        ValueError: arrays that differ in number or shape.
    """
    check_alike([weights, global_weights])
    changed = [
        pair for *pair, is_trained in zip(weights, global_weights, trainable, strict=True) if is_trained
    ]
    norm = math.sqrt(sum(_squared_distance(new, old) for new, old in changed))
    if norm <= max_norm:
        return weights
    return [
        _shorten(new, old, max_norm / norm) if is_trained else new
        for new, old, is_trained in zip(weights, global_weights, trainable, strict=True)
    ]


def _squared_distance(new: NDArray[np.generic], old: NDArray[np.generic]) -> float:
    flat_new, flat_old = new.reshape(-1), old.reshape(-1)
    parts = (np.subtract(flat_new[part], flat_old[part], dtype=np.float64) for part in chunks(new.size))
    return sum(float(np.square(part).sum()) for part in parts)


def _shorten(new: NDArray[np.generic], old: NDArray[np.generic], scale: float) -> NDArray[np.generic]:
    """Return old + scale · (new − old)."""
    flat_new, flat_old = new.reshape(-1), old.reshape(-1)
    shortened = np.empty(new.size, new.dtype)
    for part in chunks(new.size):
        change = np.subtract(flat_new[part], flat_old[part], dtype=np.float64)
        shortened[part] = np.add(flat_old[part], scale * change)
    return shortened.reshape(new.shape)


def clip_updates(
    updates: Iterable[tuple[Weights, float]],
    global_weights: Weights,
    trainable: Sequence[bool],
    max_norm: float,
) -> Iterator[tuple[Weights, float]]:
    """Clip one update at a time; what it counts in a mean stays."""
    for weights, factor in updates:
        clipped = clip_update(weights, global_weights, trainable, max_norm)
        del weights
        yield clipped, factor
        del clipped  # before the next one is fetched
