"""The weighted mean: hand-checkable numbers and laws."""

import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.federated.aggregation import CHUNK, weighted_mean


def layers(*values: float) -> list[np.ndarray]:
    return [np.full((2, 2), value, np.float32) for value in values]


def test_is_weighted_by_examples_layer_by_layer() -> None:
    mean = weighted_mean([(layers(1, 10), 1), (layers(4, 40), 2)])
    np.testing.assert_array_equal(mean[0], np.full((2, 2), 3, np.float32))
    np.testing.assert_array_equal(mean[1], np.full((2, 2), 30, np.float32))
    assert [layer.dtype for layer in mean] == [np.float32, np.float32]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=5), st.integers(1, 10**6))
def test_of_one_client_is_that_client(values: list[float], num_examples: int) -> None:
    update = [np.array(values, np.float32)]
    np.testing.assert_array_equal(weighted_mean([(update, num_examples)])[0], update[0])


@given(st.floats(-1e6, 1e6, width=32), st.lists(st.integers(1, 1000), min_size=1, max_size=8))
def test_of_equal_clients_is_that_value(value: float, factors: list[int]) -> None:
    mean = weighted_mean([(layers(value), factor) for factor in factors])
    np.testing.assert_array_equal(mean[0], layers(value)[0])


def test_sums_in_double_precision() -> None:
    big, small = np.array([2.0**25], np.float32), np.array([1.0], np.float32)
    updates = [([big], 1.0), *[([small], 1.0) for _ in range(3)]]
    assert weighted_mean(updates)[0][0] == np.float32((2.0**25 + 3) / 4)


def test_reads_one_update_at_a_time() -> None:
    alive = []

    def updates():
        for value in range(3):
            update = [np.full(4, value, np.float32)]
            alive.append(value)
            yield update, 1.0
            assert alive == list(range(value + 1)), "the next update was read too early"

    np.testing.assert_array_equal(weighted_mean(updates())[0], np.ones(4, np.float32))


def plain_mean(updates: list) -> list[np.ndarray]:
    """The formula, written down without care for memory."""
    total = sum(factor for _, factor in updates)
    mean = []
    for index, first in enumerate(updates[0][0]):
        products = [weights[index].astype(np.float64) * factor for weights, factor in updates]
        mean.append((sum(products) / total).astype(first.dtype))
    return mean


def assert_same_bits(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert [(a.dtype, a.shape, a.tobytes()) for a in one] == [(a.dtype, a.shape, a.tobytes()) for a in other]


layer_specs = st.tuples(st.sampled_from(["f2", "f4", "f8", "i8"]), hnp.array_shapes(min_dims=0, min_side=0))


@given(st.data(), st.lists(layer_specs, min_size=1, max_size=3))
def test_has_the_bits_of_the_plain_formula(data: st.DataObject, specs: list) -> None:
    whole = st.integers(-1000, 1000)
    weights = st.tuples(*(hnp.arrays(dtype, shape, elements=whole) for dtype, shape in specs)).map(list)
    updates = data.draw(st.lists(st.tuples(weights, st.floats(0.01, 1e4)), min_size=1, max_size=4))
    assert_same_bits(weighted_mean(updates), plain_mean(updates))


def test_has_the_bits_of_the_plain_formula_where_layers_are_cut() -> None:
    generator = np.random.default_rng(1)
    sizes = [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7]
    updates = [
        ([generator.standard_normal(size).astype(np.float32) for size in sizes], float(factor))
        for factor in (63, 1, 314)
    ]
    strided = [([layer[::-1][::2] for layer in weights], factor) for weights, factor in updates]
    assert_same_bits(weighted_mean(updates), plain_mean(updates))
    assert_same_bits(weighted_mean(strided), plain_mean(strided))


def test_lets_go_of_an_update_before_it_asks_for_the_next() -> None:
    def updates():
        earlier = None
        for value in range(3):
            assert earlier is None or earlier() is None, "the update before is still in memory"
            update = [np.full(4, value, np.float32)]
            earlier = weakref.ref(update[0])
            yield update, 1.0
            del update

    np.testing.assert_array_equal(weighted_mean(updates())[0], np.ones(4, np.float32))


@pytest.mark.parametrize("num_clients", [1, 20])
def test_needs_three_times_the_model(num_clients: int) -> None:
    shapes = [(1000, 1000), (500, 100), (100,)]
    model = 4 * sum(int(np.prod(shape)) for shape in shapes)

    def updates():
        for client in range(num_clients):
            yield [np.full(shape, client, np.float32) for shape in shapes], 1.0

    tracemalloc.start()
    try:
        weighted_mean(updates())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 2.9 * model < peak <= 3 * model + 8 * CHUNK + 100_000


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        ([], "no update"),
        ([(layers(1), 0)], "positive"),
        ([(layers(1), float("nan"))], "positive"),
        ([(layers(1), 1), (layers(1, 2), 1)], "differ"),
        ([(layers(1), 1), ([np.zeros((2, 1), np.float32)], 1)], "differ"),
    ],
)
def test_refuses(updates: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_mean(updates)


def test_does_not_change_its_input() -> None:
    first, second = layers(1), layers(3)
    weighted_mean([(first, 5), (second, 5)])
    assert first[0][0, 0] == 1
    assert second[0][0, 0] == 3
