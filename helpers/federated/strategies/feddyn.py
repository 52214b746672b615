"""FedDyn (Acar et al. 2021, "Federated Learning Based on Dynamic Regularization", Algorithm 1).

Each client adds −⟨g_k, w⟩ + α/2 ‖w − w₀‖² to its loss. g_k, its own gradient at the last solution, makes the
optimum of all clients together a fixed point of every client's training.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from helpers.federated.aggregation import weighted_mean
from helpers.federated.changes import map_trainable
from helpers.federated.strategies.base import ServerInputs, Strategy, Update, weighted, zeros_like
from helpers.federated.strategies.requirements import whole_weights
from helpers.federated.weights import Weights, check_weights


class FedDyn(Strategy):
    """Clients remember g_k, the server h; both start at 0. α is DYNAMIC_ALPHA."""

    reads = ("DYNAMIC_ALPHA",)
    client_state = "gradient"
    server_state = ("h",)

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.proximal_mu = settings["DYNAMIC_ALPHA"]

    def check(self) -> str:
        return whole_weights(self.settings)

    def gradient_term(self, own: Weights, shared: Weights) -> Weights:
        """Return −g_k, the gradient of −⟨g_k, w⟩."""
        return [np.negative(g) for g in own]

    def next_client_state(
        self, own: Weights, shared: Weights, began: Weights, ended: Weights, *, num_steps: int
    ) -> Weights:
        """Return g_k − α (w_k − w₀)."""
        alpha = np.float32(self.proximal_mu)
        return [np.subtract(g, alpha * np.subtract(y, x)) for g, x, y in zip(own, began, ended, strict=True)]

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        """Average with equal shares to w̄; h ← h − α (P / m) (w̄ − w₀) for P of m clients; w ← w̄ − h / α."""
        num_updates = 0

        def counted() -> Iterator[Update]:
            nonlocal num_updates
            for update in updates:
                num_updates += 1
                yield update
                del update  # before the next one is fetched

        mean = weighted_mean(weighted(counted(), lambda update: 1.0))
        schema = self.server_schema(server.schema, server.trainable)
        state = server.read_state() or zeros_like(schema)
        check_weights(state, schema)
        rate = self.proximal_mu * num_updates / server.num_clients
        before = iter(state)
        after: Weights = []

        def step(average: np.ndarray, start: np.ndarray) -> np.ndarray:
            h = next(before) - rate * np.subtract(average, start, dtype=np.float64)
            after.append(h.astype(average.dtype))
            return np.asarray(average - h / self.proximal_mu, average.dtype)

        weights = map_trainable(step, server.trainable, mean, server.read_global_weights())
        check_weights(weights, server.schema)
        return weights, after
