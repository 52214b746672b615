"""Multi-Krum: the mean of the updates nearest to many others (Blanchard et al. 2017, "Machine Learning with
Adversaries: Byzantine Tolerant Gradient Descent").
"""

from collections.abc import Sequence

from helpers.federated.aggregation import weighted_mean
from helpers.federated.strategies.krum_scores import ScoredStrategy, order_by_score, with_median_statistics
from helpers.federated.weights import Weights


class MultiKrum(ScoredStrategy):
    """The plain mean of the updates with the lowest scores becomes the global model."""

    def choose(self, updates: Sequence[Weights], trainable: Sequence[bool], num_malicious: int) -> Weights:
        return multi_krum(updates, trainable, num_malicious)


def multi_krum(updates: Sequence[Weights], trainable: Sequence[bool], num_malicious: int) -> Weights:
    """Return the plain mean of the m = K − f updates with the lowest scores; the paper leaves m open.

    Args, moving statistics and errors are those of `krum`.
    """
    chosen = sorted(order_by_score(updates, trainable, num_malicious)[: len(updates) - num_malicious])
    mean = weighted_mean((updates[index], 1.0) for index in chosen)
    return with_median_statistics(mean, updates, trainable)
