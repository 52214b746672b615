"""Client-level privacy by hand: clipping, the denominator, the noise, and what the strategy makes of it."""

import os

import numpy as np
import pytest

from helpers.federated.noise import gaussian_noise
from helpers.federated.strategies import STRATEGIES
from helpers.federated.strategies.noised_mean import NoisedMean, with_noise
from helpers.federated.weights import Weights
from tests.unit.helpers.federated.strategies.rounds import alike, make, server

W0: Weights = [np.array([1.0, 2.0]), np.array([0.5])]
NEAR: Weights = [np.array([1.3, 2.4]), np.array([0.9])]
FAR: Weights = [np.array([1.0, 12.0]), np.array([9.0])]


def private(noise: float, name: str = "fedavg", **settings: float) -> NoisedMean:
    return with_noise(make(name, DP_CLIP_NORM=1.0, **settings), lambda: noise)  # type: ignore[return-value]


def test_updates_are_clipped_and_divided_by_the_participants() -> None:
    """NEAR moves the kernel by (.3, .4), FAR by 10, which is shortened to 1; a third client failed."""
    weights, _ = private(0.0).aggregate(alike(NEAR, FAR), server(W0, num_participants=3))
    np.testing.assert_allclose(weights[0], [1 + 0.3 / 3, 2 + (0.4 + 1.0) / 3])
    np.testing.assert_array_equal(weights[1], W0[1])  # not trained, so it is not clipped and does not leave


def test_a_sample_is_divided_by_its_expected_size() -> None:
    strategy = private(0.0, CLIENT_FRACTION=0.4)
    weights, _ = strategy.aggregate(alike(NEAR), server(W0, num_clients=10, num_participants=1))
    np.testing.assert_allclose(weights[0], [1 + 0.3 / 4, 2 + 0.4 / 4])


def test_one_client_more_moves_the_result_by_the_norm_at_most() -> None:
    strategy, few = private(0.0, CLIENT_FRACTION=0.5), server(W0, num_clients=4)
    without, _ = strategy.aggregate(alike(NEAR, NEAR), few)
    others, _ = strategy.aggregate(alike(NEAR, NEAR, FAR), few)
    assert np.linalg.norm(others[0] - without[0]) == pytest.approx(1.0 / 2)


def test_the_noise_has_the_promised_size() -> None:
    start: Weights = [np.zeros(40_000)]
    inputs = server(start, trainable=(True,), num_participants=5)
    weights, _ = private(2.0).aggregate(alike(start), inputs)
    assert weights[0].std() == pytest.approx(2.0 * 1.0 / 5, rel=0.02)
    again, _ = private(2.0).aggregate(alike(start), inputs)
    assert not np.array_equal(weights[0], again[0])


def test_the_noise_is_that_of_its_source() -> None:
    strategy = private(0.5)
    assert strategy.random_bytes is os.urandom
    strategy.random_bytes = np.random.default_rng(7).bytes
    weights, _ = strategy.aggregate(alike(W0), server(W0, num_participants=2))
    noise = gaussian_noise(2, np.random.default_rng(7).bytes)
    np.testing.assert_allclose(weights[0], W0[0] + 0.5 * noise / 2)


@pytest.mark.parametrize("name", [name for name, kind in STRATEGIES.items() if kind.needs_only_mean])
def test_without_noise_and_clipping_a_strategy_gets_the_plain_mean(name: str) -> None:
    updates = alike(NEAR, [2 * array for array in W0])
    plain, state = make(name).aggregate(updates, server(W0, num_participants=2))
    noisy = with_noise(make(name, DP_CLIP_NORM=1e9), lambda: 0.0)
    weights, own_state = noisy.aggregate(updates, server(W0, num_participants=2))
    np.testing.assert_allclose(weights[0], plain[0])
    for one, other in zip(own_state, state, strict=True):
        np.testing.assert_allclose(one, other)


def test_a_private_strategy_keeps_what_the_plain_one_asks_of_clients() -> None:
    plain = make("fedprox", PROXIMAL_MU=0.3)
    noisy = with_noise(plain, lambda: 1.0)
    assert (noisy.proximal_mu, noisy.client_state, noisy.reads) == (0.3, "", ("PROXIMAL_MU",))
    assert isinstance(noisy, type(plain))
