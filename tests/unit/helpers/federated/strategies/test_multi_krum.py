"""Multi-Krum: the paper's formula, and what malicious clients can do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.aggregation import weighted_mean
from helpers.federated.strategies.multi_krum import multi_krum
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
from tests.unit.helpers.federated.strategies.test_krum import krum_bound, width
from tests.unit.helpers.federated.strategies.test_krum_scores import papers_order


@pytest.mark.parametrize("liars", [0, 1, 2])
def test_is_the_papers(liars: int) -> None:
    chosen = [flat(MANY[index]) for index in papers_order(MANY, liars)[: 7 - liars]]
    mean = flat(multi_krum(MANY, TRAINABLE, liars))
    np.testing.assert_allclose(mean, sum(chosen) / len(chosen), rtol=1e-6)


def test_by_hand() -> None:
    updates = [update(0), update(1), update(3), update(50), update(4.5)]
    assert multi_krum(updates, TRAINABLE, 1)[0][0] == np.float32(8.5 / 4)


def test_moving_statistics_are_the_median() -> None:
    updates = [update(value, statistic=10.0**index) for index, value in enumerate([5, 1, 1.1, 1.2, 9])]
    assert multi_krum(updates, TRAINABLE, 1)[1][0] == 100


@given(VARIANCES, ANYTHING)
def test_a_false_moving_statistic_alone_does_not_leave_the_honest_range(
    variances: list[float], lie: float
) -> None:
    updates = mixed(with_variances(variances), [update(1.5, statistic=lie)])
    assert min(variances) <= multi_krum(updates, TRAINABLE, 1)[1][0] <= max(variances)


@given(crowds(3, ANYTHING))
def test_the_mean_is_near_an_honest_update(crowd: Crowd) -> None:
    honest, liars = crowd
    mean = flat(multi_krum(mixed(honest, liars), TRAINABLE, len(liars)))
    nearest = min(np.linalg.norm(mean - flat(a)) for a in honest)
    assert nearest <= (krum_bound(crowd) + width(honest)) * (1 + 1e-5) + 1e-3


@given(crowds(3, st.floats(2.0**17, 2.0**100, width=32)))
def test_far_malicious_updates_do_not_count_at_all(crowd: Crowd) -> None:
    honest, liars = crowd
    expected = weighted_mean([(weights, 1.0) for weights in honest])
    mean = multi_krum(mixed(honest, liars), TRAINABLE, len(liars))
    np.testing.assert_array_equal(mean[0], expected[0])


@given(st.permutations(range(7)))
def test_the_order_of_clients_changes_only_the_rounding(order: list[int]) -> None:
    shuffled = [MANY[index] for index in order]
    for first, second in zip(multi_krum(MANY, TRAINABLE, 2), multi_krum(shuffled, TRAINABLE, 2), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)


@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=3, max_size=8))
def test_a_moving_variance_never_becomes_negative(variances: list[float]) -> None:
    assert multi_krum(with_variances(variances), TRAINABLE, 0)[1][0] >= 0


def test_refuses_unlike_updates() -> None:
    with pytest.raises(ValueError, match="differ"):
        multi_krum([update(1), update(1), update(1, 2)], TRAINABLE, 0)
