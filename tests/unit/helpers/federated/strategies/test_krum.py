"""Krum: the paper's formula, and what malicious clients can do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.strategies.krum import krum
from helpers.federated.weights import Weights
from tests.unit.helpers.federated.strategies.crowds import (
    ANYTHING,
    MANY,
    VARIANCES,
    Crowd,
    crowds,
    flat,
    mixed,
    update,
    with_variances,
)
from tests.unit.helpers.federated.strategies.rounds import TRAINABLE
from tests.unit.helpers.federated.strategies.test_krum_scores import papers_order


@pytest.mark.parametrize("liars", [0, 1, 2])
def test_is_the_papers(liars: int) -> None:
    assert krum(MANY, TRAINABLE, liars)[0] is MANY[papers_order(MANY, liars)[0]][0]


def test_by_hand() -> None:
    updates = [update(0), update(1), update(3), update(50), update(4.5)]
    # Two nearest of each: 0: 1 + 9; 1: 1 + 4; 3: 4 + 2.25 → 1 is nearest to others. f = 1.
    assert krum(updates, TRAINABLE, 1)[0] is updates[1][0]


def test_of_equal_scores_the_first_client_is_taken() -> None:
    updates = [update(0), update(0), update(0)]
    assert krum(updates, TRAINABLE, 0)[0] is updates[0][0]


def test_moving_statistics_do_not_count_in_distances_and_are_the_median() -> None:
    updates = [update(value, statistic=10.0**index) for index, value in enumerate([5, 1, 1.1, 1.2, 9])]
    assert krum(updates, TRAINABLE, 1)[0] is updates[2][0]
    assert krum(updates, TRAINABLE, 1)[1][0] == 100


@given(VARIANCES, ANYTHING)
def test_a_false_moving_statistic_alone_does_not_leave_the_honest_range(
    variances: list[float], lie: float
) -> None:
    updates = mixed(with_variances(variances), [update(1.5, statistic=lie)])  # it may well be chosen
    assert min(variances) <= krum(updates, TRAINABLE, 1)[1][0] <= max(variances)


@given(crowds(3, ANYTHING))
def test_the_chosen_update_is_near_an_honest_one(crowd: Crowd) -> None:
    honest, liars = crowd
    chosen = flat(krum(mixed(honest, liars), TRAINABLE, len(liars)))
    assert min(np.linalg.norm(chosen - flat(a)) for a in honest) <= krum_bound(crowd) * (1 + 1e-9)


def krum_bound(crowd: Crowd) -> float:
    """Return how far from an honest update a chosen one can be, in honest updates' greatest distance."""
    honest, liars = crowd
    count = len(honest) + len(liars)
    return width(honest) * math.sqrt((count - len(liars) - 2) / (count - 2 * len(liars) - 1))


def width(honest: list[Weights]) -> float:
    return float(max(np.linalg.norm(flat(a) - flat(b)) for a in honest for b in honest))


@given(crowds(3, st.floats(2.0**17, 2.0**100, width=32)))
def test_far_malicious_updates_do_not_count_at_all(crowd: Crowd) -> None:
    honest, liars = crowd
    chosen = krum(mixed(honest, liars), TRAINABLE, len(liars))
    assert any(chosen[0] is weights[0] for weights in honest)


@given(st.permutations(range(7)))
def test_the_order_of_clients_changes_no_bit(order: list[int]) -> None:
    shuffled = [MANY[index] for index in order]
    for first, second in zip(krum(MANY, TRAINABLE, 2), krum(shuffled, TRAINABLE, 2), strict=True):
        np.testing.assert_array_equal(first, second)


@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=3, max_size=8))
def test_a_moving_variance_never_becomes_negative(variances: list[float]) -> None:
    assert krum(with_variances(variances), TRAINABLE, 0)[1][0] >= 0
