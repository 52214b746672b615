"""FedYogi (Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2)."""

import numpy as np

from helpers.federated.strategies.server_optimizer import AdaptiveServerOptimizer
from helpers.federated.strategies.server_step import Array


class FedYogi(AdaptiveServerOptimizer):
    """v ← v − (1 − β2) Δ² sign(v − Δ²)."""

    reads = ("SERVER_LEARNING_RATE", "SERVER_MOMENTUM", "SERVER_BETA_2", "SERVER_TAU")

    def second_moment(self, square: Array, before: Array) -> Array:
        return before - (1 - self.rates.beta_2) * square * np.sign(before - square)
