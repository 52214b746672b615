"""Logit adjustment (Menon et al. 2021, "Long-Tail Learning via Logit Adjustment", equation 10), by each
client's own class priors (Zhang et al. 2022, "Federated Learning with Label Distribution Skew via Logits
Calibration").

A client trains with the logarithm of its priors added to the logits. The network then learns what
distinguishes the classes, and not how frequent they are at that client.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def prior_logits(counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what the priors of the classes add to the logits.

    Args:
        counts: images of each class, at least two numbers. Half an image is added to each, so that a class
            without images has a prior.

    Returns:
        With two classes float32 (1,), the log odds of class 1. With more, float32 (k,), the logarithms of
        the priors.
    """
    smoothed = np.asarray(counts, np.float64) + 0.5
    logits = np.log(smoothed / smoothed.sum())
    if len(logits) == 2:
        logits = logits[1:] - logits[0]
    return np.asarray(logits, np.float32)
