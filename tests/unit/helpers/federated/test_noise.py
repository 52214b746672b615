"""Noise and sampling: distributions, and bytes that come from the operating system unless given."""

import os

import numpy as np
import pytest
from scipy import stats

from helpers.federated import noise
from helpers.federated.noise import CHUNK, drawn, gaussian_noise


def seeded(seed: int = 0) -> noise.RandomBytes:
    return np.random.default_rng(seed).bytes


def test_it_is_standard_normal_and_independent() -> None:
    numbers = gaussian_noise(4 * CHUNK + 1, seeded()).astype(np.float64)
    assert numbers.shape == (4 * CHUNK + 1,)
    assert stats.kstest(numbers, "norm").pvalue > 0.01
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.01
    pairs = numbers[: 2 * CHUNK].reshape(2, -1)
    assert abs(np.corrcoef(pairs)[0, 1]) < 0.01


@pytest.mark.parametrize("size", [0, 1, 2, 3, 2 * CHUNK + 1])
def test_any_size(size: int) -> None:
    assert gaussian_noise(size).shape == (size,)


def test_it_is_finite_for_any_bytes() -> None:
    for byte in (b"\x00", b"\xff"):
        assert np.isfinite(gaussian_noise(4, lambda count, byte=byte: byte * count)).all()


def test_two_draws_differ_and_given_bytes_repeat() -> None:
    assert not np.array_equal(gaussian_noise(8), gaussian_noise(8))
    np.testing.assert_array_equal(gaussian_noise(8, seeded()), gaussian_noise(8, seeded()))


def test_the_default_is_the_operating_system() -> None:
    assert gaussian_noise.__defaults__ == drawn.__defaults__ == (os.urandom,)


def test_units_are_drawn_at_the_rate_and_independently() -> None:
    is_drawn = drawn(100_000, 0.3, seeded())
    assert is_drawn.mean() == pytest.approx(0.3, abs=0.005)
    assert abs(np.corrcoef(is_drawn[:-1], is_drawn[1:])[0, 1]) < 0.01
    assert drawn(50, 1.0).all()
    assert not drawn(50, 0.0).any()
