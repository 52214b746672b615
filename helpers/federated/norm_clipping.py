"""Two bounds on how far one client can move the model: a limit to which longer changes are clipped (Sun et
al. 2019, "Can You Really Backdoor Federated Learning?"), and one above which a change is refused.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.changes import scale_change
from helpers.federated.strategies.base import Update
from helpers.federated.weights import Weights, check_alike

LEAST_NORMS = 3
"""With fewer changes, none is absurd next to the others."""


def change_norm(weights: Weights, global_weights: Weights) -> float:
    """Return the Euclidean norm of the change of all arrays together, in float64."""
    return math.sqrt(sum(_squared_distance(*pair) for pair in zip(weights, global_weights, strict=True)))


def norm_limit(norms: Sequence[float], max_ratio: float, shortage: Callable[[int], str]) -> float:
    """Return the norm above which a change is absurd next to the others of its round; infinity for no limit.

    Args:
        norms: of the round's changes, as the clients report them.
        max_ratio: limit as a multiple of their median; 0 for no limit.
        shortage: `Strategy.shortage`. A robust rule that needs the absurd changes as well keeps them.
    """
    limit = max_ratio * statistics.median(norms) if len(norms) >= LEAST_NORMS else 0.0
    if not limit or shortage(sum(norm <= limit for norm in norms)):
        return math.inf
    return limit


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
    norm = change_norm(*(list(compress(arrays, trainable)) for arrays in (weights, global_weights)))
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
