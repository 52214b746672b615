"""Fixed-point changes: their sum is the weighted mean up to its step, whatever the order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.aggregation import weighted_mean
from helpers.federated.weights import SchemaError, Weights
from helpers.secure_aggregation.fixed_point import FRACTION_BITS, add_residues, largest_change
from tests.unit.helpers.secure_aggregation.secure_rounds import (
    IS_TRAINED,
    decoded,
    encoded,
    random_weights,
)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=12), st.integers(0, 5000))
def test_the_mean_is_that_of_fedavg_up_to_half_a_step_for_each_site(counts: list[int], missing: int) -> None:
    start, total, present = random_weights(99), sum(counts) + missing, sum(counts)
    updates = [random_weights(seed) for seed in range(len(counts))]
    sums = encoded(updates[0], start, counts[0], total)
    for local, count in zip(updates[1:], counts[1:], strict=True):
        add_residues(sums, encoded(local, start, count, total))
    expected = weighted_mean(zip(updates, counts, strict=True))
    for got, want, is_trained in zip(decoded(sums, start, present, total), expected, IS_TRAINED, strict=True):
        steps = len(counts) / 2 * total / present
        assert got.dtype == want.dtype
        rounding = np.spacing(np.abs(want))  # of the result to float32
        assert (np.abs(got - want) <= steps * 2.0 ** -FRACTION_BITS[is_trained] + rounding).all()


def test_by_hand() -> None:
    start = [np.zeros((3, 5), np.float32), np.zeros(7, np.float32), np.zeros(4, np.float32)]
    local = [np.full((3, 5), -0.5, np.float32), np.full(7, 31, np.float32), np.full(4, 2, np.float32)]
    kernel, bias, variance = encoded(local, start, 1, 4)
    assert (kernel == 2**32 - 2**23).all()
    assert (bias == 31 * 2**24).all()
    assert (variance == 2**18).all()


@pytest.mark.parametrize("value", [32.0, -32.0, np.nan, np.inf])
def test_a_change_that_cannot_be_sent_is_refused_by_name(value: float) -> None:
    start, local = random_weights(1), random_weights(1)
    local[0] = start[0] + np.float32(value)
    with pytest.raises(SchemaError, match=r"kernel: a number changed by .* at most 31; lower BASE_LR"):
        encoded(local, start, 1, 1)


@pytest.mark.parametrize("weight", [0, -1, 3])
def test_a_weight_beyond_the_total_is_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="not in 1…2"):
        encoded(random_weights(1), random_weights(2), weight, 2)


@pytest.mark.parametrize("residue", [2**31, 2**31 - 2**19, 2**31 + 2**19])
def test_a_sum_with_a_mask_left_in_it_is_refused(residue: int) -> None:
    start: Weights = random_weights(1)
    sums = [np.zeros(array.shape, np.uint32) for array in start]
    sums[1][3] = residue
    with pytest.raises(SchemaError, match=r"bias: .* masks do not cancel"):
        decoded(sums, start, 1, 1)


def test_the_largest_mean_fits() -> None:
    start = [np.zeros_like(array) for array in random_weights(1)]
    limits = [largest_change(is_trained) for is_trained in IS_TRAINED]
    local = [array - np.float32(limit) for array, limit in zip(start, limits, strict=True)]
    sums = encoded(local, start, 1, 3)
    for _ in range(2):
        add_residues(sums, encoded(local, start, 1, 3))
    for got, limit in zip(decoded(sums, start, 3, 3), limits, strict=True):
        np.testing.assert_allclose(got, -limit, atol=1e-5)
