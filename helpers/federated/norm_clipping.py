"""A bound on how far one client can move the model (Sun et al. 2019, "Can You Really Backdoor Federated
Learning?").
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from helpers.federated.changes import scale_change
from helpers.federated.strategies.base import Update
from helpers.federated.update_norms import squared_distance
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
    norm = math.sqrt(sum(squared_distance(new, old) for new, old, is_trained in pairs if is_trained))
    if norm <= max_norm:
        return weights
    return scale_change(weights, global_weights, trainable, max_norm / norm)


def clip_updates(
    updates: Iterable[Update], global_weights: Weights, trainable: Sequence[bool], max_norm: float
) -> Iterator[Update]:
    """Clip one update at a time."""
    for update in updates:
        clipped = replace(update, weights=clip_update(update.weights, global_weights, trainable, max_norm))
        del update
        yield clipped
        del clipped  # before the next one is fetched
