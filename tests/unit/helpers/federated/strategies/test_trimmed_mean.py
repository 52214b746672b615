"""The coordinate-wise trimmed mean: the paper's formula, and what malicious clients can do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.aggregation import weighted_mean
from helpers.federated.quorum import QuorumError
from helpers.federated.strategies.median import median
from helpers.federated.strategies.trimmed_mean import TrimmedMean, trimmed_mean
from tests.unit.helpers.federated.strategies.crowds import (
    ANYTHING,
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
    updates = [update(1, 7), update(100, 7), update(2, -900), update(6, 8), update(-50, 9)]
    np.testing.assert_array_equal(trimmed_mean(updates, 1)[0], np.array([3, 22 / 3], np.float32))
    np.testing.assert_array_equal(trimmed_mean(updates, 2)[0], median(updates)[0])
    np.testing.assert_allclose(trimmed_mean(updates, 0)[0], np.array([59 / 5, -869 / 5]), rtol=1e-6)


@pytest.mark.parametrize("trimmed", [0, 1, 2])
def test_is_the_papers(trimmed: int) -> None:
    for layer, array in enumerate(trimmed_mean(MANY, trimmed)):
        for place in np.ndindex(array.shape):
            values = sorted(float(weights[layer][place]) for weights in MANY)
            left = values[trimmed : len(values) - trimmed]
            assert array[place] == np.float32(math.fsum(left) / len(left))


@given(crowds(1, ANYTHING))
def test_as_many_malicious_as_are_trimmed_cannot_leave_the_honest_range(crowd: Crowd) -> None:
    honest, liars = crowd
    assert_between(trimmed_mean(mixed(honest, liars), len(liars)), honest)


def test_one_more_than_is_trimmed_can() -> None:
    updates = [update(1), update(2), update(3), update(1e9), update(1e9)]
    assert trimmed_mean(updates, 1)[0][0] > 1e8
    assert weighted_mean([(weights, 1.0) for weights in updates])[0][0] > 1e8


@given(VARIANCES, ANYTHING)
def test_a_false_moving_statistic_alone_does_not_leave_the_honest_range(
    variances: list[float], lie: float
) -> None:
    outcome = trimmed_mean(mixed(with_variances(variances), [update(1.5, statistic=lie)]), 1)
    assert min(variances) <= outcome[1][0] <= max(variances)


@given(st.permutations(range(7)))
def test_the_order_of_clients_changes_no_bit(order: list[int]) -> None:
    shuffled = [MANY[index] for index in order]
    for first, second in zip(trimmed_mean(MANY, 2), trimmed_mean(shuffled, 2), strict=True):
        np.testing.assert_array_equal(first, second)


@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=3, max_size=8))
def test_a_moving_variance_never_becomes_negative(variances: list[float]) -> None:
    assert trimmed_mean(with_variances(variances), 1)[1][0] >= 0


def test_refuses_to_trim_all() -> None:
    with pytest.raises(ValueError, match="1 trimmed at each end of 2 updates leave nothing"):
        trimmed_mean(MANY[:2], 1)


@pytest.mark.parametrize(
    ("fraction", "clients", "tolerated"), [(0.2, 5, 1), (0.2, 10, 2), (0.2, 4, 0), (0.29, 100, 29)]
)
def test_how_many_malicious_clients_are_tolerated(fraction: float, clients: int, tolerated: int) -> None:
    strategy = make("trimmed_mean", TRIM_FRACTION=fraction)
    assert isinstance(strategy, TrimmedMean)
    assert strategy.num_tolerated(clients) == tolerated


def test_a_round_in_which_nothing_would_be_trimmed_is_refused() -> None:
    strategy = make("trimmed_mean", TRIM_FRACTION=0.2)
    assert strategy.shortage(5) == ""
    assert strategy.shortage(4).startswith(
        "TRIM_FRACTION: received 0.2: of 4 clients a round this is less than one, so nothing would be trimmed"
    )


@pytest.mark.parametrize(("clients", "needed"), [(5, 3), (10, 5), (4, 1)])
def test_how_many_updates_are_needed(clients: int, needed: int) -> None:
    strategy = make("trimmed_mean", TRIM_FRACTION=0.2)
    inputs = server(update(0), num_participants=clients)
    strategy.aggregate(alike(*[update(1)] * needed), inputs)
    if needed > 1:
        with pytest.raises(QuorumError, match=f"^{needed - 1} usable .* trimmed_mean needs {needed} to tol"):
            strategy.aggregate(alike(*[update(1)] * (needed - 1)), inputs)
