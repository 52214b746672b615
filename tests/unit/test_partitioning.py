import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.errors import PreprocessingError
from preprocessing.partitioning import class_weight, partition_rows


@given(data=st.data(), num_rows=st.integers(1, 300), seed=st.integers(0, 2**40))
def test_every_row_has_exactly_one_client_and_shares_are_even(data, num_rows, seed):
    num_clients = data.draw(st.integers(1, num_rows))
    parts = partition_rows(np.zeros(num_rows, np.int32), num_clients, seed)
    assert len(parts) == num_clients
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(num_rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all((np.diff(part) > 0).all() for part in parts)


def test_ten_rows_among_three_clients():
    assert [len(part) for part in partition_rows(np.zeros(10), 3, seed=0)] == [4, 3, 3]


def test_one_client_owns_all_rows_in_order():
    assert partition_rows(np.zeros(5), 1, seed=7)[0].tolist() == [0, 1, 2, 3, 4]


def test_the_seed_decides():
    labels = np.zeros(100, np.int32)
    first, again, other = (partition_rows(labels, 3, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("num_clients", [0, 4])
def test_a_client_without_rows_is_refused(num_clients):
    with pytest.raises(PreprocessingError, match=f"num_workers: received {num_clients} for 3 training"):
        partition_rows(np.zeros(3), num_clients, seed=0)


def test_class_weights_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 0, 0, 0])
    rows = np.array([0, 1, 2, 3])
    assert class_weight("none", labels, rows) is None
    assert class_weight("balanced", labels, rows) == {0: 4 / 6, 1: 2.0}
    assert class_weight("balanced_global", labels, rows) == {0: 8 / 12, 1: 2.0}
    assert class_weight("balanced", labels, np.array([0, 1])) == {0: 1.0, 1: 1.0}
