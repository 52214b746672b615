"""An optimizer at the server that takes the clients' mean change as its gradient.

Δ = mean(w_k) − w, with the mean weighted as FedAvg's; w ← w + Δ would be FedAvg itself (Hsu et al. 2019,
"Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification"; Reddi et al.
2021, "Adaptive Federated Optimization"). Steps are computed in float64 and rounded once. The state has the
dtypes of the model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from helpers.federated.aggregation import weighted_mean
from helpers.federated.strategies.base import ServerInputs, Strategy, Update, weighted
from helpers.federated.strategies.server_step import Array, step_from_mean
from helpers.federated.weights import Schema, Weights


@dataclass(frozen=True)
class ServerRates:
    """Rates of a server optimizer.

    Attributes:
        learning_rate: η > 0.
        momentum: β1, 0 to below 1.
        beta_2: share of the second moment that is kept each round, 0 to below 1.
        tau: τ > 0, the adaptivity constant; larger is less adaptive.
    """

    learning_rate: float
    momentum: float
    beta_2: float
    tau: float


class ServerOptimizer(Strategy):
    """FedAvg's mean, then one step of the optimizer; a subclass has the formula in `step`."""

    reads: ClassVar[tuple[str, ...]] = ("SERVER_LEARNING_RATE", "SERVER_MOMENTUM")
    needs_only_mean = True
    default_learning_rate: ClassVar[float]

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        learning_rate = settings["SERVER_LEARNING_RATE"] or self.default_learning_rate
        momentum, beta_2 = settings["SERVER_MOMENTUM"], settings["SERVER_BETA_2"]
        self.rates = ServerRates(learning_rate, momentum, beta_2, settings["SERVER_TAU"])

    def step(self, change: Array, state: Sequence[Array]) -> tuple[Array, list[Array]]:
        """Return the step to add to a part of an array, and its new state.

        Args:
            change: Δ of that part, float64 (N,).
            state: its arrays in the order of `server_state`, float64 (N,) each.
        """
        raise NotImplementedError

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        mean = weighted_mean(weighted(updates, lambda update: update.num_examples))
        schema = self.server_schema(server.schema, server.trainable)
        state = server.read_state() or self.initial_state(schema)
        advice = f"SERVER_LEARNING_RATE is {self.rates.learning_rate:g}: lower it, or set MAX_UPDATE_NORM"
        return step_from_mean(self.step, mean, state, server, schema, advice)

    def initial_state(self, server_schema: Schema) -> Weights:
        """Return the state before the first round: no momentum, second moments of τ²."""
        return [
            np.full(spec.shape, self.rates.tau**2 if spec.name.endswith(".second_moment") else 0, spec.dtype)
            for spec in server_schema
        ]


class AdaptiveServerOptimizer(ServerOptimizer):
    """m ← β1 m + (1 − β1) Δ; w ← w + η m / (√v + τ) (Reddi et al. 2021, Algorithm 2, no bias correction).

    A subclass has the rule for v in `second_moment`.
    """

    server_state = ("momentum", "second_moment")
    default_learning_rate = 0.01

    def step(self, change: Array, state: Sequence[Array]) -> tuple[Array, list[Array]]:
        rates = self.rates
        first = rates.momentum * state[0] + (1 - rates.momentum) * change
        second = self.second_moment(change**2, state[1])
        return rates.learning_rate * first / (np.sqrt(second) + rates.tau), [first, second]

    def second_moment(self, square: Array, before: Array) -> Array:
        """Return v after the round, from Δ² and v before it."""
        raise NotImplementedError
