"""Attacks of malicious clients: flipped labels and Gaussian noise."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import Weights

LIARS = frozenset({0, 1})
"""Ids of the malicious clients."""
APP = "studies.lying_clients"
"""The workers' Celery app."""
VARIABLE = "STUDY_LIE"
"""The variable of the workers' environment that names the attack: `labels` or `noise`."""
LENGTH = 10.0
"""The length of the noise, in lengths of the honest change."""


def flipped(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the opposite of every label (Biggio, Nelson & Laskov 2011): int32 (N,), 0 and 1."""
    return 1 - labels


def noise_for(
    before: Weights, after: Weights, trainable: Sequence[bool], seed: Sequence[int], length: float = LENGTH
) -> Weights:
    """Return Gaussian noise in place of an update (the Gaussian attack of Blanchard et al. 2017).

    Args:
        before: global weights at the start.
        after: honestly trained weights, in the same order.
        trainable: whether each array is trained. Moving means and variances are not and stay as they are: a
            negative variance would reveal the attack.
        seed: of the noise.
        length: Euclidean norm of the noise of each array, in norms of its honest change.

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
