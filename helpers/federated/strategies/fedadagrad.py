"""FedAdagrad (Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2)."""

from helpers.federated.strategies.server_optimizer import AdaptiveServerOptimizer
from helpers.federated.strategies.server_step import Array


class FedAdagrad(AdaptiveServerOptimizer):
    """v ← v + Δ²."""

    reads = ("SERVER_LEARNING_RATE", "SERVER_MOMENTUM", "SERVER_TAU")

    def second_moment(self, square: Array, before: Array) -> Array:
        return before + square
