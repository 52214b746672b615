"""Krum: the update nearest to many others (Blanchard et al. 2017, "Machine Learning with Adversaries:
Byzantine Tolerant Gradient Descent").
"""

from collections.abc import Sequence

from helpers.federated.strategies.krum_scores import ScoredStrategy, order_by_score, with_median_statistics
from helpers.federated.weights import Weights


class Krum(ScoredStrategy):
    """The update with the lowest score becomes the global model."""

    def choose(self, updates: Sequence[Weights], trainable: Sequence[bool], num_malicious: int) -> Weights:
        return krum(updates, trainable, num_malicious)


def krum(updates: Sequence[Weights], trainable: Sequence[bool], num_malicious: int) -> Weights:
    """Return the update with the lowest score, the first of equal ones, with the median moving statistics.

    Args:
        updates: the clients' weights, arrays in model order.
        trainable: whether gradients change each array.
        num_malicious: f ≥ 0.

    Raises:
        ValueError: fewer than 2f + 3 updates, or arrays that differ in number or shape.
    """
    chosen = updates[order_by_score(updates, trainable, num_malicious)[0]]
    return with_median_statistics(chosen, updates, trainable)
