"""Partitions: every row has one client, no client is empty, and the seed determines the result."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.feed.partitions import (
    dirichlet_partition,
    iid_partition,
    patient_partition,
    quantity_partition,
    site_partition,
)


def check(parts: list[np.ndarray], num_rows: int, num_clients: int) -> None:
    """Disjoint, complete, ascending, none empty."""
    assert len(parts) == num_clients
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(num_rows))
    assert all((np.diff(part) > 0).all() for part in parts)
    assert all(len(part) > 0 for part in parts)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def labels_of(num_rows: int, share: float = 0.3) -> np.ndarray:
    return (np.arange(num_rows) < share * num_rows).astype(np.int32)


WAYS = {
    "lot": lambda rows, clients, seed: iid_partition(rows, clients, seed),
    "power law": lambda rows, clients, seed: quantity_partition(rows, clients, seed),
    "class, alike": lambda rows, clients, seed: dirichlet_partition(labels_of(rows), clients, 1e9, seed),
    "class, unlike": lambda rows, clients, seed: dirichlet_partition(labels_of(rows), clients, 0.3, seed),
    "class, apart": lambda rows, clients, seed: dirichlet_partition(labels_of(rows), clients, 1e-9, seed),
    "group": lambda rows, clients, seed: patient_partition(list(range(rows)), clients, seed),
}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=40)
@given(data=st.data(), num_rows=st.integers(1, 300), seed=st.integers(0, 2**40))
def test_every_row_has_exactly_one_client_and_no_client_is_empty(way, data, num_rows, seed):
    num_clients = data.draw(st.integers(1, num_rows))
    parts = WAYS[way](num_rows, num_clients, seed)
    check(parts, num_rows, num_clients)
    assert same(parts, WAYS[way](num_rows, num_clients, seed))


@pytest.mark.parametrize("way", WAYS)
def test_the_seed_determines_the_partition(way):
    assert not same(WAYS[way](100, 3, 1), WAYS[way](100, 3, 2))


@pytest.mark.parametrize("way", ["lot", "class, alike", "class, unlike", "class, apart", "group"])
@given(data=st.data(), num_rows=st.integers(1, 100))
def test_iid_shares_are_even(way, data, num_rows):
    sizes = [len(part) for part in WAYS[way](num_rows, data.draw(st.integers(1, num_rows)), 0)]
    assert max(sizes) - min(sizes) <= 1


def test_ten_rows_among_three_clients():
    assert [len(part) for part in iid_partition(10, 3, seed=0)] == [4, 3, 3]


def test_one_client_owns_all_rows_in_order():
    for way in WAYS.values():
        assert way(5, 1, 7)[0].tolist() == [0, 1, 2, 3, 4]


def test_sizes_follow_the_power_law():
    # one row each, and of the other 1,100 shares of 1 : 1/2 : 1/3, which is 6/11, 3/11, 2/11
    assert [len(part) for part in quantity_partition(1103, 3, 0)] == [601, 301, 201]


def classes(parts: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """The share of class 1 at each client."""
    return np.array([labels[part].mean() for part in parts])


def test_class_shares_are_similar_with_a_large_alpha():
    labels = labels_of(3000)
    shares = classes(dirichlet_partition(labels, 10, 1e6, 0), labels)
    assert np.abs(shares - 0.3).max() < 0.12  # 300 rows each: 4.5 standard deviations of .026
    assert np.ptp(shares) > 0  # drawn, not stratified


def test_a_client_has_one_class_with_a_small_alpha():
    labels = labels_of(3000)
    shares = classes(dirichlet_partition(labels, 10, 1e-6, 0), labels)
    assert (
        sum(share in (0, 1) for share in shares) >= 9
    )  # one at most gets the last of the first class used up
    assert {0, 1} <= set(shares)


def test_clients_differ_more_with_a_smaller_alpha():
    labels = labels_of(3000)
    spread = [
        np.mean([classes(dirichlet_partition(labels, 10, alpha, seed), labels).std() for seed in range(20)])
        for alpha in (0.1, 1, 10, 100)
    ]
    assert spread == sorted(spread, reverse=True)
    assert spread[0] > 3 * spread[-1]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=200), st.data(), st.integers(0, 2**40))
def test_no_patient_has_two_clients(patients, data, seed):
    num_clients = data.draw(st.integers(1, len(set(patients))))
    parts = patient_partition(patients, num_clients, seed)
    check(parts, len(patients), num_clients)
    owners = {}
    for client, part in enumerate(parts):
        for row in part:
            assert owners.setdefault(patients[row], client) == client
    largest = max(patients.count(patient) for patient in patients)
    sizes = [len(part) for part in parts]
    assert max(sizes) <= len(patients) / num_clients + largest  # of any greedy rule
    assert max(sizes) - min(sizes) <= largest


def test_patients_are_divided_the_largest_first():
    patients = list("aaaabbbcccdde")  # a of 4 images first, then b and c, d to one of these, e to the other
    sizes = sorted(len(part) for part in patient_partition(patients, 3, 0))
    assert sizes == [4, 4, 5]
    assert {
        tuple(patients[row] for row in part) for part in patient_partition(patients, 3, 0) if len(part) == 5
    } <= {tuple("bbbdd"), tuple("cccdd")}


def test_a_client_for_each_site_in_alphabetical_order():
    parts = site_partition(["Linz", "Graz", "Linz", "Wien", "Graz"])
    assert [part.tolist() for part in parts] == [[1, 4], [0, 2], [3]]


@given(st.lists(st.sampled_from("abc"), min_size=1))
def test_a_site_is_one_client(sites):
    parts = site_partition(sites)
    check(parts, len(sites), len(set(sites)))
    assert [{sites[row] for row in part} for part in parts] == [{site} for site in sorted(set(sites))]


def test_three_classes_separate_with_a_small_alpha():
    labels = np.repeat(np.arange(3, dtype=np.int32), 40)
    apart, alike = (dirichlet_partition(labels, 3, alpha, seed=0) for alpha in (1e-9, 1e9))
    check(apart, 120, 3)
    check(alike, 120, 3)
    assert sorted(np.bincount(labels[part], minlength=3).max() for part in apart)[0] >= 20
    assert all(np.bincount(labels[part], minlength=3).min() > 5 for part in alike)
