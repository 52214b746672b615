"""The clients' mean change as a gradient that an optimizer at the server follows.

With Δ = mean(w_k) − w, the mean weighted as FedAvg's; w ← w + Δ would be FedAvg itself.

Hsu et al. 2019, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification";
Reddi et al. 2021, "Adaptive Federated Optimization".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ServerRates:
    """What a server optimizer is told.

    Attributes:
        learning_rate: η > 0.
        momentum: β1, 0 to below 1.
        beta_2: share that the second moment keeps a round, 0 to below 1; FedAdam and FedYogi.
        tau: τ > 0, how far the adaptive ones may go: the smaller, the more adaptive.
    """

    learning_rate: float
    momentum: float
    beta_2: float
    tau: float


Step = Callable[[Array, Sequence[Array], ServerRates], tuple[Array, list[Array]]]
"""Change Δ of one array, what is remembered of it, rates → step to add to the array, new memory."""


def fedavgm(change: Array, memory: Sequence[Array], rates: ServerRates) -> tuple[Array, list[Array]]:
    """FedAvgM (Hsu et al. 2019): v ← β v + Δ; w ← w + η v. At β = 0, η = 1 it is FedAvg."""
    velocity = rates.momentum * memory[0] + change
    return rates.learning_rate * velocity, [velocity]


def fedadagrad(change: Array, memory: Sequence[Array], rates: ServerRates) -> tuple[Array, list[Array]]:
    """FedAdagrad (Reddi et al. 2021, Algorithm 2): v ← v + Δ²."""
    return _adaptive(change, memory, rates, memory[1] + change**2)


def fedadam(change: Array, memory: Sequence[Array], rates: ServerRates) -> tuple[Array, list[Array]]:
    """FedAdam (Reddi et al. 2021, Algorithm 2): v ← β2 v + (1 − β2) Δ²; no bias correction."""
    return _adaptive(change, memory, rates, rates.beta_2 * memory[1] + (1 - rates.beta_2) * change**2)


def fedyogi(change: Array, memory: Sequence[Array], rates: ServerRates) -> tuple[Array, list[Array]]:
    """FedYogi (Reddi et al. 2021, Algorithm 2): v ← v − (1 − β2) Δ² sign(v − Δ²)."""
    square = change**2
    return _adaptive(
        change, memory, rates, memory[1] - (1 - rates.beta_2) * square * np.sign(memory[1] - square)
    )


def _adaptive(
    change: Array, memory: Sequence[Array], rates: ServerRates, second: Array
) -> tuple[Array, list[Array]]:
    """Their common part: m ← β1 m + (1 − β1) Δ; w ← w + η m / (√v + τ)."""
    first = rates.momentum * memory[0] + (1 - rates.momentum) * change
    return rates.learning_rate * first / (np.sqrt(second) + rates.tau), [first, second]


ADAPTIVE = ("momentum", "second_moment")
OPTIMIZERS: dict[str, tuple[Step, tuple[str, ...]]] = {
    "fedavgm": (fedavgm, ("momentum",)),
    "fedadagrad": (fedadagrad, ADAPTIVE),
    "fedadam": (fedadam, ADAPTIVE),
    "fedyogi": (fedyogi, ADAPTIVE),
}
"""By STRATEGY: the function and the names of what it remembers of every trainable array."""
