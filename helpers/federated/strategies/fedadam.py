"""FedAdam (Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2)."""

from helpers.federated.strategies.server_optimizer import AdaptiveServerOptimizer
from helpers.federated.strategies.server_step import Array


class FedAdam(AdaptiveServerOptimizer):
    """v ← β2 v + (1 − β2) Δ²."""

    reads = ("SERVER_LEARNING_RATE", "SERVER_MOMENTUM", "SERVER_BETA_2", "SERVER_TAU")

    def second_moment(self, square: Array, before: Array) -> Array:
        return self.rates.beta_2 * before + (1 - self.rates.beta_2) * square
