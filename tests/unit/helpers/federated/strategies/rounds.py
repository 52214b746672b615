"""Strategies and rounds of the server, made for tests."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from helpers.federated.strategies import STRATEGIES, Strategy
from helpers.federated.strategies.base import ServerInputs, Update
from helpers.federated.weights import Weights, schema_of
from helpers.global_config import Config

TRAINABLE = (True, False)
DEFAULTS = {name: getattr(Config(), name) for name in Config.model_fields}


def make(name: str, **settings: Any) -> Strategy:
    """Return a strategy with settings at their defaults, apart from those named."""
    values = {**DEFAULTS, "STRATEGY": name, **settings}
    return STRATEGIES[name](values)


def server(
    global_weights: Weights,
    state: Weights | None = None,
    *,
    trainable: Sequence[bool] = TRAINABLE,
    num_clients: int = 1,
    num_participants: int = 1,
) -> ServerInputs:
    """Return what the server knows of a model with the arrays kernel, variance."""
    return ServerInputs(
        schema=schema_of(["kernel", "variance"][: len(global_weights)], global_weights),
        trainable=trainable,
        num_clients=num_clients,
        num_participants=num_participants,
        read_global_weights=lambda: global_weights,
        read_state=lambda: state or [],
    )


def alike(*updates: Weights) -> list[Update]:
    """Return updates of one example and one step each."""
    return [Update(weights, 1, 1, 1) for weights in updates]


GLOBAL: Weights = [np.array([1.0, -2.0, 0.5]), np.array([0.5])]
MEANS: list[Weights] = [
    [np.array([1.2, -2.5, 0.5]), np.array([0.4])],
    [np.array([0.9, -1.0, 0.6]), np.array([0.0])],
    [np.array([3.0, -1.1, 0.1]), np.array([0.3])],
]
"""The clients' mean in three rounds; float64, so that only the formula can differ."""
RATE, BETA_1, BETA_2, TAU = 0.3, 0.6, 0.8, 0.02
RATES = {
    "SERVER_LEARNING_RATE": RATE,
    "SERVER_MOMENTUM": BETA_1,
    "SERVER_BETA_2": BETA_2,
    "SERVER_TAU": TAU,
}
Path = list[tuple[Weights, Weights]]
Rule = Callable[[float, float, float], tuple[float, float, float]]


def server_path(strategy: Strategy, means: Sequence[Weights], start: Weights = GLOBAL) -> Path:
    """Return the global weights and the server's state after each round."""
    weights, state, path = start, [], []
    for mean in means:
        weights, state = strategy.aggregate(alike(mean), server(weights, state))
        path.append((weights, state))
    return path


def assert_is_the_papers(strategy: Strategy, rule: Rule) -> None:
    """Compare three rounds with the paper's rule, coordinate by coordinate.

    Args:
        strategy: a server optimizer with RATES.
        rule: returns step, first and second moment, from Δ and the moments before, in plain numbers.
    """
    path = server_path(strategy, MEANS)
    for coordinate in range(3):
        x, m, v, expected = float(GLOBAL[0][coordinate]), 0.0, TAU**2, []
        for mean in MEANS:
            step, m, v = rule(float(mean[0][coordinate]) - x, m, v)
            x += step
            expected.append(x)
        received = [float(weights[0][coordinate]) for weights, _ in path]
        np.testing.assert_allclose(received, expected, rtol=1e-12)
