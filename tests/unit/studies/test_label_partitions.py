"""Partitions of labeled rows, as the publications make them."""

import numpy as np
import pytest

from studies.label_partitions import by_classes, by_dirichlet, by_shards

LABELS = np.repeat(np.arange(10), 60)


def classes_of(clients, client):
    return sorted(set(LABELS[clients == client]))


def test_each_client_has_its_number_of_classes_and_each_row_a_client():
    clients = by_classes(LABELS, 10, 2, np.random.default_rng(1))
    assert clients.min() == 0
    for client in range(10):
        assert len(classes_of(clients, client)) == 2
        assert client in classes_of(clients, client)
    for label in range(10):
        sizes = np.bincount(clients[np.equal(LABELS, label)], minlength=10)
        assert np.ptp(sizes[sizes > 0]) <= 1


def test_shards_are_equal_and_have_few_classes():
    clients = by_shards(LABELS, 20, 2, np.random.default_rng(1))
    assert np.bincount(clients).tolist() == [30] * 20
    assert max(len(classes_of(clients, client)) for client in range(20)) <= 2
    assert len({tuple(classes_of(clients, client)) for client in range(20)}) > 5


@pytest.mark.parametrize(("alpha", "least", "most"), [(0.1, 0.5, 1.0), (1000.0, 0.0, 0.2)])
def test_a_small_alpha_makes_classes_unlike(alpha, least, most):
    clients = by_dirichlet(LABELS, 5, alpha, np.random.default_rng(1))
    assert np.bincount(clients).min() >= 10
    shares = [np.bincount(LABELS[clients == client], minlength=10).max() for client in range(5)]
    sizes = np.bincount(clients)
    assert least <= np.mean(shares / sizes) <= most
