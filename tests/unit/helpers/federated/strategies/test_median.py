"""The coordinate-wise median: the paper's formula, and what malicious clients can do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.aggregation import CHUNK
from helpers.federated.strategies.median import median
from helpers.federated.weights import Weights
from tests.unit.helpers.federated.strategies.crowds import (
    ANYTHING,
    GENERATOR,
    MANY,
    VARIANCES,
    Crowd,
    assert_between,
    crowds,
    mixed,
    update,
    with_variances,
)
from tests.unit.helpers.federated.strategies.rounds import alike, make, server


def test_by_hand() -> None:
    odd = median([update(1, 9), update(3, -5), update(2, 100)])
    np.testing.assert_array_equal(odd[0], np.array([2, 9], np.float32))
    even = median([update(1), update(10), update(2), update(4)])
    np.testing.assert_array_equal(even[0], np.array([3], np.float32))


def test_is_the_papers() -> None:
    for layer, array in enumerate(median(MANY)):
        for place in np.ndindex(array.shape):
            assert array[place] == np.float32(sorted(float(weights[layer][place]) for weights in MANY)[3])


@given(crowds(1, ANYTHING))
def test_fewer_malicious_than_honest_cannot_leave_the_honest_range(crowd: Crowd) -> None:
    assert_between(median(mixed(*crowd)), crowd[0])


@given(VARIANCES, ANYTHING)
def test_a_false_moving_statistic_alone_does_not_leave_the_honest_range(
    variances: list[float], lie: float
) -> None:
    outcome = median(mixed(with_variances(variances), [update(1.5, statistic=lie)]))
    assert min(variances) <= outcome[1][0] <= max(variances)


def test_layers_of_more_than_one_block_and_strided_ones() -> None:
    size = 2 * CHUNK + 3
    arrays = [GENERATOR.standard_normal(2 * size).astype(np.float32)[::2] for _ in range(3)]
    updates: list[Weights] = [[array] for array in arrays]
    np.testing.assert_array_equal(median(updates)[0], np.median(arrays, axis=0))


@given(st.permutations(range(7)))
def test_the_order_of_clients_changes_no_bit(order: list[int]) -> None:
    for first, second in zip(median(MANY), median([MANY[index] for index in order]), strict=True):
        np.testing.assert_array_equal(first, second)


@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=3, max_size=8))
def test_a_moving_variance_never_becomes_negative(variances: list[float]) -> None:
    assert median(with_variances(variances))[1][0] >= 0


def test_refuses_no_update_and_unlike_ones() -> None:
    with pytest.raises(ValueError, match="no update"):
        median([])
    with pytest.raises(ValueError, match="differ"):
        median([update(1), update(1, 2)])


def test_the_strategy_takes_the_median_and_needs_no_particular_number() -> None:
    strategy = make("median")
    assert (strategy.check(), strategy.shortage(1)) == ("", "")
    weights, state = strategy.aggregate(alike(update(1), update(9), update(2)), server(update(0)))
    assert (weights[0].tolist(), state) == ([2], [])
