"""Client-level differential privacy: clipped updates, and noise on their mean (McMahan et al. 2018, "Learning
Differentially Private Recurrent Language Models", Algorithm 1 with a fixed denominator and equal weights).
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from helpers.federated.noise import RandomBytes, gaussian_noise
from helpers.federated.norm_clipping import clip_updates
from helpers.federated.strategies.base import ServerInputs, Strategy, Update
from helpers.federated.weights import Weights


class NoisedMean:
    """Mixin of a strategy that needs only the mean of the updates: it receives a noisy one.

    The mean is w + (Σ_k clip(w_k − w, C) + z) / m with z ~ N(0, (σ C)²). C is DP_CLIP_NORM, σ the
    noise multiplier, and m the expected number of clients. So one client more or less moves the sum by C at
    most, whichever others take part.

    Attributes:
        solve_noise: returns σ.
        random_bytes: source of the noise; only tests use another one than the operating system.
    """

    settings: Mapping[str, Any]
    solve_noise: Callable[[], float]
    random_bytes: RandomBytes = staticmethod(os.urandom)

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        strategy: Any = super()
        result: tuple[Weights, Weights] = strategy.aggregate([self._noisy_mean(updates, server)], server)
        return result

    def _noisy_mean(self, updates: Iterable[Update], server: ServerInputs) -> Update:
        start, norm = server.read_global_weights(), self.settings["DP_CLIP_NORM"]
        sums = [np.zeros(array.shape, np.float64) for array in start]
        for update in clip_updates(updates, start, server.trainable, norm):
            for total, new, old in zip(sums, update.weights, start, strict=True):
                total += np.subtract(new, old, dtype=np.float64)
            del update  # before the next one is fetched
        deviation = self.solve_noise() * norm
        fraction = self.settings["CLIENT_FRACTION"]
        expected = server.num_participants if fraction == 1 else fraction * server.num_clients
        mean: Weights = []
        for total, old, is_trained in zip(sums, start, server.trainable, strict=True):
            if is_trained:
                noise = gaussian_noise(total.size, self.random_bytes).reshape(total.shape)
                total += deviation * noise
                mean.append((old + total / expected).astype(old.dtype))
            else:  # what is not clipped does not leave
                mean.append(old)
        return Update(mean, 1, 1, 1)


def with_noise(strategy: Strategy, solve_noise: Callable[[], float]) -> Strategy:
    """Return the strategy with a noisy mean in place of the updates.

    Args:
        strategy: any that needs only the mean.
        solve_noise: returns the noise multiplier; called when updates are aggregated.
    """
    kind, attributes = type(strategy), {"solve_noise": staticmethod(solve_noise)}
    private: Strategy = type(f"Private{kind.__name__}", (NoisedMean, kind), attributes)(strategy.settings)
    return private
