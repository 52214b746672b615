"""FedDyn (Acar et al. 2021, "Federated Learning Based on Dynamic Regularization", Algorithm 1).

Each client adds −⟨g_k, w⟩ + α/2 ‖w − w₀‖² to its loss. g_k, its own gradient at the last solution, makes the
optimum of all clients together a fixed point of every client's training.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from helpers.federated.aggregation import weighted_mean
from helpers.federated.strategies.base import ServerInputs, Strategy, Update, weighted, zeros_like
from helpers.federated.strategies.requirements import whole_weights
from helpers.federated.strategies.server_step import Array, step_from_mean
from helpers.federated.weights import Weights


class FedDyn(Strategy):
    """Clients remember g_k, the server their sum s; both start at 0. α is DYNAMIC_ALPHA."""

    reads = ("DYNAMIC_ALPHA",)
    client_state = "gradient"
    server_state = ("gradient_sum",)

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.proximal_mu = settings["DYNAMIC_ALPHA"]

    def check(self) -> str:
        if self.settings["MAX_UPDATE_NORM"]:
            return (
                f"MAX_UPDATE_NORM: received {self.settings['MAX_UPDATE_NORM']}: with STRATEGY="
                f"{self.settings['STRATEGY']} the server needs the whole changes; set MAX_UPDATE_NORM=0"
            )
        return whole_weights(self.settings)

    def gradient_term(self, own: Weights, shared: Weights) -> Weights:
        """Return −g_k, the gradient of −⟨g_k, w⟩."""
        return [np.negative(g) for g in own]

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
        """Return g_k − α (w_k − w₀)."""
        alpha = np.float32(self.proximal_mu)
        return [np.subtract(g, alpha * np.subtract(y, x)) for g, x, y in zip(own, began, ended, strict=True)]

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        """Average P updates with equal shares, then step: s ← s − α P Δ; w ← w̄ − s / (α m).

        h of the paper is s / m, for m clients. The sum stays right when more clients join a run.
        """
        alpha, num_updates = self.proximal_mu, 0

        def count(update: Update) -> float:
            nonlocal num_updates
            num_updates += 1
            return 1.0

        def step(change: Array, state: Sequence[Array]) -> tuple[Array, list[Array]]:
            total = state[0] - alpha * num_updates * change
            return change - total / (alpha * server.num_clients), [total]

        mean = weighted_mean(weighted(updates, count))
        schema = self.server_schema(server.schema, server.trainable)
        state = server.read_state() or zeros_like(schema)
        return step_from_mean(step, mean, state, server, schema, "raise DYNAMIC_ALPHA, or lower BASE_LR")
