"""Arithmetic on the trainable arrays of weights; the others are left as they are."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.weights import Weights, check_alike

Array = NDArray[np.generic]


def map_trainable(
    change: Callable[[Array, Array], Array], trainable: Sequence[bool], weights: Weights, others: Weights
) -> Weights:
    """Return `weights` with `change(array, other)` in place of every trainable array.

    Raises:
        ValueError: arrays that differ in number or shape.
    """
    check_alike([weights, others])
    return [
        change(array, other) if is_trained else array
        for array, other, is_trained in zip(weights, others, trainable, strict=True)
    ]


def scale_change(weights: Weights, start: Weights, trainable: Sequence[bool], scale: float) -> Weights:
    """Return start + scale · (weights − start), computed in float64 and rounded once.

    Raises:
        ValueError: arrays that differ in number or shape.
    """

    def scaled(new: Array, old: Array) -> Array:
        flat_new, flat_old = new.reshape(-1), old.reshape(-1)
        result = np.empty(new.size, new.dtype)
        for part in chunks(new.size):
            change = np.subtract(flat_new[part], flat_old[part], dtype=np.float64)
            result[part] = np.add(flat_old[part], scale * change)
        return result.reshape(new.shape)

    return map_trainable(scaled, trainable, weights, start)
