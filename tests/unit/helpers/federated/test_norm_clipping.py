"""Norm clipping: by hand, and its bound."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.norm_clipping import change_norm, clip_update, clip_updates, norm_limit
from helpers.federated.strategies.base import Update
from tests.unit.helpers.federated.strategies.crowds import NUMBERS, flat, update, with_variances
from tests.unit.helpers.federated.strategies.rounds import TRAINABLE


def enough(num_updates: int) -> str:
    return ""


def test_the_norm_is_of_all_arrays_and_does_not_overflow() -> None:
    assert change_norm([np.array([3.0]), np.array(4.0)], [np.zeros(1), np.zeros(())]) == 5
    assert change_norm([np.full(9, 3e38, np.float32)], [np.zeros(9, np.float32)]) == pytest.approx(9e38)


def test_the_limit_is_a_multiple_of_the_median() -> None:
    assert norm_limit([1, 2, 1e30], 1000, enough) == 2000
    assert norm_limit([1, 3, 5, 1e30], 10, enough) == 40


@pytest.mark.parametrize(
    ("norms", "ratio"), [([], 1000), ([1], 1000), ([1, 1e30], 1000), ([1, 2, 1e30], 0), ([0, 0, 1e30], 1000)]
)
def test_no_limit_for_two_updates_without_a_ratio_or_without_a_change(norms: list, ratio: float) -> None:
    assert norm_limit(norms, ratio, enough) == math.inf


def test_a_rule_that_needs_the_absurd_changes_keeps_them() -> None:
    norms = [1, 1, 1, 1, 1e30]
    assert norm_limit(norms, 1000, lambda count: "too few" if count < 5 else "") == math.inf
    assert norm_limit(norms, 1000, lambda count: "too few" if count < 4 else "") == 1000


def test_clipping_by_hand() -> None:
    before = update(1, 1, statistic=5)
    clipped = clip_update(update(4, 5, statistic=900), before, TRAINABLE, 1)  # a change of (3, 4), norm 5
    np.testing.assert_allclose(clipped[0], [1.6, 1.8], rtol=1e-6)
    assert clipped[1][0] == 900


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5), st.floats(1e-3, 1e4))
def test_no_change_is_longer_than_the_bound_and_its_direction_stays(pairs: list, bound: float) -> None:
    old, new = (update(*part) for part in zip(*pairs, strict=True))
    clipped = clip_update(new, old, TRAINABLE, bound)
    change, shorter = flat(new) - flat(old), flat(clipped) - flat(old)
    if np.linalg.norm(change) <= bound:
        assert clipped is new
        return
    assert np.linalg.norm(shorter) == pytest.approx(bound, rel=1e-3, abs=1e-3)
    np.testing.assert_allclose(shorter, change * bound / np.linalg.norm(change), atol=1e-3)


@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=3, max_size=8))
def test_a_moving_variance_never_becomes_negative(variances: list[float]) -> None:
    updates = with_variances(variances)
    assert clip_update(updates[-1], updates[0], TRAINABLE, 0.1)[1][0] >= 0


def test_updates_are_clipped_one_at_a_time_and_keep_their_counts() -> None:
    asked = []

    def updates() -> Iterator[Update]:
        for number in (1, 2):
            asked.append(number)
            yield Update(update(10.0 * number), num_examples=number, num_steps=5, num_rows=9)

    clipped = clip_updates(updates(), update(0), TRAINABLE, 1)
    first = next(clipped)
    assert (asked, float(first.weights[0][0]), first.num_examples, first.num_steps) == ([1], 1.0, 1, 5)
    assert [second.num_examples for second in clipped] == [2]


def test_a_clipped_update_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        clip_update(update(1, 2), update(1), TRAINABLE, 1)
