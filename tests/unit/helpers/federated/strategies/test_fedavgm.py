"""FedAvgM: the paper's formula, and when it is FedAvg."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.strategies.base import Update
from tests.unit.helpers.federated.strategies.rounds import (
    BETA_1,
    RATE,
    RATES,
    assert_is_the_papers,
    make,
    server,
)

SINGLE = st.floats(-1e3, 1e3, width=32).filter(lambda value: value == 0 or abs(value) > 1e-3)


def test_three_rounds_are_the_papers() -> None:
    def rule(delta: float, m: float, v: float) -> tuple[float, float, float]:
        m = BETA_1 * m + delta
        return RATE * m, m, v

    assert_is_the_papers(make("fedavgm", **RATES), rule)


def test_the_default_rate_is_1() -> None:
    strategy = make("fedavgm", SERVER_MOMENTUM=0.5)
    weights, state = strategy.aggregate(
        [Update([np.array([3.0])], 1, 1, 1)], server([np.array([1.0])], [np.array([4.0])], trainable=(True,))
    )
    assert (weights[0].tolist(), state[0].tolist()) == ([5], [4])  # 1 + (0.5 · 4 + 2)


@pytest.mark.parametrize("num_examples", [1, 7, 99])
@given(st.lists(st.tuples(SINGLE, SINGLE, SINGLE), min_size=1, max_size=4))
def test_without_momentum_at_rate_1_it_is_fedavg_to_the_bit(num_examples: int, values: list) -> None:
    start, first, second = ([np.array(part, np.float32)] for part in zip(*values, strict=True))
    updates = [Update(first, num_examples, 1, 1), Update(second, 7, 1, 1)]
    strategy = make("fedavgm", SERVER_LEARNING_RATE=1.0, SERVER_MOMENTUM=0.0)
    mean, _ = make("fedavg").aggregate(updates, server(start, trainable=(True,)))
    state: list[np.ndarray] = []
    for _ in range(2):  # nothing is left of the round before
        weights, state = strategy.aggregate(updates, server(start, state, trainable=(True,)))
        assert weights[0].dtype == np.float32
        np.testing.assert_array_equal(weights[0], mean[0])
