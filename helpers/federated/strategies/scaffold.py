"""SCAFFOLD (Karimireddy et al. 2020, "Stochastic Controlled Averaging for Federated Learning", Algorithm 1).

A client corrects its gradients by c − c_i: c_i is its own usual gradient and c the mean over all clients.
Updates are averaged, every client alike. These control variates have the shapes of the trainable arrays and
start at 0.
"""

from collections.abc import Iterator

import numpy as np

from helpers.federated.aggregation import weighted_mean
from helpers.federated.strategies.fedavg import FedAvgUnweighted
from helpers.federated.strategies.requirements import mean_gradient_from_sgd, whole_weights
from helpers.federated.weights import Weights


class Scaffold(FedAvgUnweighted):
    """Clients remember c_i and receive c."""

    client_state = "control"
    shares_state = True

    def check(self) -> str:
        return mean_gradient_from_sgd(self.settings) or whole_weights(self.settings)

    def gradient_term(self, own: Weights, shared: Weights) -> Weights:
        """Return c − c_i (line 10)."""
        return [np.subtract(c, c_i) for c, c_i in zip(shared, own, strict=True)]

    def next_client_state(
        self,
        own: Weights,
        shared: Weights,
        began: Weights,
        ended: Weights,
        *,
        num_steps: int,
        learning_rate: float,
    ) -> Weights:
        """Return c_i − c + (x − y_i) / (K η) (line 12, option II), with η the rate of plain SGD."""
        steps = np.float32(num_steps * learning_rate)
        return [
            np.subtract(c_i, c, dtype=np.float32) + np.subtract(x, y, dtype=np.float32) / steps
            for c_i, c, x, y in zip(own, shared, began, ended, strict=True)
        ]

    def shared_state(self, client_states: Iterator[Weights]) -> Weights:
        """Return c = Σ c_i / N over all N clients.

        Algorithm 1 reaches it step by step, c ← c + Σ Δc_i / N (line 17). The sum needs no state at the
        server.
        """
        return weighted_mean((control, 1.0) for control in client_states)
