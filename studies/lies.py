"""What a lying client does to its labels or to its update."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import Weights

LIARS = frozenset({0, 1})
"""Ids of the clients that lie."""
APP = "studies.lying_clients"
"""The workers' Celery app."""
VARIABLE = "STUDY_LIE"
"""Says in their environment how they lie: `labels` or `noise`."""
LENGTH = 10.0
"""How long a liar's noise is, in lengths of its own honest change."""


def flipped(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Say the opposite of every label (Biggio, Nelson & Laskov 2011): int32 (N,), 0 and 1."""
    return 1 - labels


def noise_for(
    before: Weights, after: Weights, trainable: Sequence[bool], seed: Sequence[int], length: float = LENGTH
) -> Weights:
    """Send Gaussian noise instead of what was learned (the Gaussian attack of Blanchard et al. 2017).

    Args:
        before: global weights that the client began with.
        after: what it has honestly trained, in the same order.
        trainable: which arrays are trained. The others, moving means and variances, stay as they are: a
            variance below 0 would give the liar away.
        seed: the same gives the same noise.
        length: Euclidean norm of every array's noise, in norms of its honest change.

    Returns:
        Weights of the same shapes and dtypes.
    """
    generator = np.random.default_rng(seed)
    sent = []
    for old, new, is_trained in zip(before, after, trainable, strict=True):
        drawn = generator.standard_normal(old.shape)
        scale = length * np.linalg.norm(np.subtract(new, old, dtype=np.float64)) / np.linalg.norm(drawn)
        sent.append((old + scale * drawn).astype(new.dtype) if is_trained else new)
    return sent
