"""FedAvgM: momentum at the server (Hsu et al. 2019, "Measuring the Effects of Non-Identical Data Distribution
for Federated Visual Classification").
"""

from collections.abc import Sequence

from helpers.federated.strategies.server_optimizer import ServerOptimizer
from helpers.federated.strategies.server_step import Array


class FedAvgM(ServerOptimizer):
    """v ← β1 v + Δ; w ← w + η v. At β1 = 0 and η = 1 it is FedAvg."""

    server_state = ("momentum",)
    default_learning_rate = 1.0

    def step(self, change: Array, state: Sequence[Array]) -> tuple[Array, list[Array]]:
        velocity = self.rates.momentum * state[0] + change
        return self.rates.learning_rate * velocity, [velocity]
