"""Norm clipping: by hand, and its bound."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.norm_clipping import clip_update, clip_updates
from helpers.federated.strategies.base import Update
from tests.unit.helpers.federated.strategies.crowds import NUMBERS, flat, update, with_variances
from tests.unit.helpers.federated.strategies.rounds import TRAINABLE


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
