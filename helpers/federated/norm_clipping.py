"""A bound on how far one client can move the model (Sun et al. 2019, "Can You Really Backdoor Federated
Learning?").
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.changes import scale_change
from helpers.federated.strategies.base import Update
from helpers.federated.weights import Weights, check_alike


def clip_update(
    weights: Weights, global_weights: Weights, trainable: Sequence[bool], max_norm: float
) -> Weights:
    """Return a client's weights with their change shortened to `max_norm`: w + Δ / max(1, ‖Δ‖ / M).

    Δ = w_k − w; its Euclidean norm is over the trainable arrays together, in float64. Other arrays are
    neither counted nor changed. An update that is short enough is returned bit for bit.

    Args:
        weights: the client's, arrays in model order.
        global_weights: w, those the round began with.
        trainable: whether gradients change each array.
        max_norm: M > 0.

    Raises:
        ValueError: arrays that differ in number or shape.
    """
    check_alike([weights, global_weights])
    pairs = zip(weights, global_weights, trainable, strict=True)
    norm = math.sqrt(sum(_squared_distance(new, old) for new, old, is_trained in pairs if is_trained))
    if norm <= max_norm:
        return weights
    return scale_change(weights, global_weights, trainable, max_norm / norm)


def _squared_distance(new: NDArray[np.generic], old: NDArray[np.generic]) -> float:
    flat_new, flat_old = new.reshape(-1), old.reshape(-1)
    parts = (np.subtract(flat_new[part], flat_old[part], dtype=np.float64) for part in chunks(new.size))
    return sum(float(np.square(part).sum()) for part in parts)


def clip_updates(
    updates: Iterable[Update], global_weights: Weights, trainable: Sequence[bool], max_norm: float
) -> Iterator[Update]:
    """Clip one update at a time."""
    for update in updates:
        clipped = replace(update, weights=clip_update(update.weights, global_weights, trainable, max_norm))
        del update
        yield clipped
        del clipped  # before the next one is fetched
