"""Median, trimmed mean, Krum, multi-Krum and norm clipping: their papers' formulas, and what liars can do."""

import math

import numpy as np
import pytest
from helpers.federated.strategies.norm_clipping import clip_update, clip_updates
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.aggregation import CHUNK, weighted_mean
from helpers.federated.quorum import num_tolerated, updates_needed
from helpers.federated.strategies.coordinates import median, trimmed_mean
from helpers.federated.strategies.krum import krum, multi_krum, squared_distances
from helpers.federated.weights import Weights

TRAINABLE = (True, False)
GENERATOR = np.random.default_rng(3)
MANY: list[Weights] = [
    [GENERATOR.standard_normal((2, 3)).astype(np.float32), GENERATOR.random(2).astype(np.float32)]
    for _ in range(7)
]
numbers = st.floats(-1e3, 1e3, width=32)
anything = st.floats(-(2.0**126), 2.0**126, width=32)


def update(*values: float, statistic: float = 1.0) -> Weights:
    return [np.array(values, np.float32), np.array([statistic], np.float32)]


def flat(weights: Weights) -> np.ndarray:
    """The trainable array as one float64 vector."""
    return weights[0].astype(np.float64).reshape(-1)


@st.composite
def crowds(
    draw: st.DrawFn, spare: int, liar: st.SearchStrategy[float]
) -> tuple[list[Weights], list[Weights]]:
    """Honest updates and liars, with at least `spare` more of the former, of two coordinates each."""
    liars = draw(st.lists(st.tuples(liar, liar), min_size=1, max_size=3))
    least = len(liars) + spare
    honest = draw(st.lists(st.tuples(numbers, numbers), min_size=least, max_size=least + 3))
    return [update(*values) for values in honest], [update(*values) for values in liars]


def mixed(honest: list[Weights], liars: list[Weights]) -> list[Weights]:
    """Liars among the honest."""
    return [*honest[:1], *liars, *honest[1:]]


def test_median_by_hand() -> None:
    odd = median([update(1, 9), update(3, -5), update(2, 100)])
    np.testing.assert_array_equal(odd[0], np.array([2, 9], np.float32))
    even = median([update(1), update(10), update(2), update(4)])
    np.testing.assert_array_equal(even[0], np.array([3], np.float32))


def test_trimmed_mean_by_hand() -> None:
    updates = [update(1, 7), update(100, 7), update(2, -900), update(6, 8), update(-50, 9)]
    np.testing.assert_array_equal(trimmed_mean(updates, 1)[0], np.array([3, 22 / 3], np.float32))
    np.testing.assert_array_equal(trimmed_mean(updates, 2)[0], median(updates)[0])
    np.testing.assert_allclose(trimmed_mean(updates, 0)[0], np.array([59 / 5, -869 / 5]), rtol=1e-6)


@pytest.mark.parametrize("trimmed", [0, 1, 2])
def test_rules_of_coordinates_are_the_papers(trimmed: int) -> None:
    for layer, array in enumerate(trimmed_mean(MANY, trimmed)):
        for place in np.ndindex(array.shape):
            values = sorted(float(weights[layer][place]) for weights in MANY)
            left = values[trimmed : len(values) - trimmed]
            assert array[place] == np.float32(math.fsum(left) / len(left))
            assert median(MANY)[layer][place] == np.float32(values[3])


@given(crowds(1, anything))
def test_fewer_liars_than_honest_cannot_move_a_coordinate_out_of_the_honest_range(crowd: tuple) -> None:
    honest, liars = crowd
    updates = mixed(honest, liars)
    values = np.array([flat(weights) for weights in honest])
    for outcome in (median(updates), trimmed_mean(updates, len(liars))):
        assert (flat(outcome) >= values.min(axis=0)).all()
        assert (flat(outcome) <= values.max(axis=0)).all()


def test_one_liar_more_than_is_trimmed_can() -> None:
    updates = [update(1), update(2), update(3), update(1e9), update(1e9)]
    assert trimmed_mean(updates, 1)[0][0] > 1e8
    assert weighted_mean([(weights, 1.0) for weights in updates])[0][0] > 1e8


def test_layers_of_more_than_one_block_and_strided_ones() -> None:
    size = 2 * CHUNK + 3
    arrays = [GENERATOR.standard_normal(2 * size).astype(np.float32)[::2] for _ in range(3)]
    updates: list[Weights] = [[array] for array in arrays]
    np.testing.assert_array_equal(median(updates)[0], np.median(arrays, axis=0))
    expected = math.fsum((arrays[0].astype(np.float64) - arrays[2]) ** 2)
    assert squared_distances(updates, (True,))[0, 2] == pytest.approx(expected, rel=1e-12)


def krum_order(updates: list[Weights], liars: int) -> list[int]:
    """Scores as the paper states them, in plain numbers."""
    scores = []
    for mine in updates:
        distances = [
            math.fsum((float(a) - float(b)) ** 2 for a, b in zip(flat(mine), flat(other), strict=True))
            for other in updates
            if other is not mine
        ]
        scores.append(math.fsum(sorted(distances)[: len(updates) - liars - 2]))
    return sorted(range(len(updates)), key=scores.__getitem__)


@pytest.mark.parametrize("liars", [0, 1, 2])
def test_krum_is_the_papers(liars: int) -> None:
    order = krum_order(MANY, liars)
    assert krum(MANY, TRAINABLE, liars)[0] is MANY[order[0]][0]
    chosen = [flat(MANY[index]) for index in order[: 7 - liars]]
    found = multi_krum(MANY, TRAINABLE, liars)
    np.testing.assert_allclose(flat(found), sum(chosen) / len(chosen), rtol=1e-6)


def test_krum_by_hand() -> None:
    updates = [update(0), update(1), update(3), update(50), update(4.5)]
    # Two nearest of each: 0: 1 + 9; 1: 1 + 4; 3: 4 + 2.25 → 1 is nearest to others. f = 1.
    assert krum(updates, TRAINABLE, 1)[0] is updates[1][0]
    assert multi_krum(updates, TRAINABLE, 1)[0][0] == np.float32(8.5 / 4)


def test_of_equal_scores_the_first_client_is_taken() -> None:
    updates = [update(0), update(0), update(0)]
    assert krum(updates, TRAINABLE, 0)[0] is updates[0][0]


def test_moving_statistics_do_not_count_in_distances_and_are_the_median() -> None:
    updates = [update(value, statistic=10.0**index) for index, value in enumerate([5, 1, 1.1, 1.2, 9])]
    assert krum(updates, TRAINABLE, 1)[0] is updates[2][0]
    for rule in (krum, multi_krum):
        assert rule(updates, TRAINABLE, 1)[1][0] == 100


@given(
    st.lists(st.floats(0, 1e6, width=32), min_size=4, max_size=8), st.floats(-(2.0**126), 2.0**126, width=32)
)
def test_who_trains_honestly_and_lies_about_moving_statistics_moves_no_rule_far(
    variances: list[float], lie: float
) -> None:
    honest = [update(index, statistic=variance) for index, variance in enumerate(variances)]
    updates = mixed(honest, [update(1.5, statistic=lie)])  # in the midst of the honest: it may well be chosen
    outcomes = [
        median(updates),
        trimmed_mean(updates, 1),
        krum(updates, TRAINABLE, 1),
        multi_krum(updates, TRAINABLE, 1),
    ]
    assert all(min(variances) <= outcome[1][0] <= max(variances) for outcome in outcomes)


@given(crowds(3, anything))
def test_what_krum_chooses_is_near_an_honest_one(crowd: tuple) -> None:
    honest, liars = crowd
    updates, count = mixed(honest, liars), len(honest) + len(liars)
    width = max(np.linalg.norm(flat(a) - flat(b)) for a in honest for b in honest)
    bound = width * math.sqrt((count - len(liars) - 2) / (count - 2 * len(liars) - 1))
    distances = [np.linalg.norm(flat(krum(updates, TRAINABLE, len(liars))) - flat(a)) for a in honest]
    assert min(distances) <= bound * (1 + 1e-9)
    mean = flat(multi_krum(updates, TRAINABLE, len(liars)))
    assert min(np.linalg.norm(mean - flat(a)) for a in honest) <= (bound + width) * (1 + 1e-5) + 1e-3


@given(crowds(3, st.floats(2.0**17, 2.0**100, width=32)))
def test_far_liars_do_not_count_at_all(crowd: tuple) -> None:
    honest, liars = crowd
    updates = mixed(honest, liars)
    assert any(krum(updates, TRAINABLE, len(liars))[0] is weights[0] for weights in honest)
    expected = weighted_mean([(weights, 1.0) for weights in honest])
    np.testing.assert_array_equal(multi_krum(updates, TRAINABLE, len(liars))[0], expected[0])


@given(st.permutations(range(7)))
def test_the_order_of_clients_changes_no_bit_but_of_sums(order: list[int]) -> None:
    shuffled = [MANY[index] for index in order]
    for rule in (median, lambda updates: trimmed_mean(updates, 2), lambda u: krum(u, TRAINABLE, 2)):
        for first, second in zip(rule(MANY), rule(shuffled), strict=True):
            np.testing.assert_array_equal(first, second)
    for first, second in zip(multi_krum(MANY, TRAINABLE, 2), multi_krum(shuffled, TRAINABLE, 2), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)


@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=3, max_size=8))
def test_a_moving_variance_never_becomes_negative(variances: list[float]) -> None:
    updates = [update(index, statistic=variance) for index, variance in enumerate(variances)]
    outcomes = [
        median(updates),
        trimmed_mean(updates, 1),
        krum(updates, TRAINABLE, 0),
        multi_krum(updates, TRAINABLE, 0),
        clip_update(updates[-1], updates[0], TRAINABLE, 0.1),
    ]
    assert all(outcome[1][0] >= 0 for outcome in outcomes)


def test_too_few_updates_are_refused() -> None:
    with pytest.raises(ValueError, match="no update"):
        median([])
    with pytest.raises(ValueError, match="1 trimmed at each end of 2 updates leave nothing"):
        trimmed_mean(MANY[:2], 1)
    with pytest.raises(ValueError, match="against 1 liars 5 updates are needed, not 4"):
        krum(MANY[:4], TRAINABLE, 1)
    with pytest.raises(ValueError, match="differ"):
        median([update(1), update(1, 2)])
    with pytest.raises(ValueError, match="differ"):
        multi_krum([update(1), update(1), update(1, 2)], TRAINABLE, 0)


@pytest.mark.parametrize(
    ("strategy", "clients", "liars", "needed"),
    [
        ("trimmed_mean", 5, 1, 3), ("trimmed_mean", 10, 2, 5), ("trimmed_mean", 4, 0, 1),
        ("krum", 9, 3, 9), ("multi_krum", 9, 3, 9), ("median", 9, 0, 1), ("fedavg", 9, 0, 1),
    ],
)  # fmt: skip
def test_how_many_liars_and_how_many_updates(strategy: str, clients: int, liars: int, needed: int) -> None:
    assert num_tolerated(strategy, 0.2, 3, clients) == liars
    assert updates_needed(strategy, liars) == needed
    assert num_tolerated("trimmed_mean", 0.29, 0, 100) == 29


def test_clipping_by_hand() -> None:
    before = update(1, 1, statistic=5)
    found = clip_update(update(4, 5, statistic=900), before, TRAINABLE, 1)  # a change of (3, 4), norm 5
    np.testing.assert_allclose(found[0], [1.6, 1.8], rtol=1e-6)
    assert found[1][0] == 900


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5), st.floats(1e-3, 1e4))
def test_no_change_is_longer_than_the_bound_and_its_direction_stays(pairs: list, bound: float) -> None:
    old, new = (update(*part) for part in zip(*pairs, strict=True))
    found = clip_update(new, old, TRAINABLE, bound)
    change, clipped = flat(new) - flat(old), flat(found) - flat(old)
    if np.linalg.norm(change) <= bound:
        assert found is new
        return
    assert np.linalg.norm(clipped) == pytest.approx(bound, rel=1e-3, abs=1e-3)
    np.testing.assert_allclose(clipped, change * bound / np.linalg.norm(change), atol=1e-3)


def test_updates_are_clipped_one_at_a_time_and_keep_what_they_count() -> None:
    asked = []

    def updates():
        for number in (1, 2):
            asked.append(number)
            yield update(10.0 * number), float(number)

    clipped = clip_updates(updates(), update(0), TRAINABLE, 1)
    (weights, factor) = next(clipped)
    assert (asked, float(weights[0][0]), factor) == ([1], 1.0, 1.0)
    assert [factor for _, factor in clipped] == [2.0]


def test_a_clipped_update_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        clip_update(update(1, 2), update(1), TRAINABLE, 1)
