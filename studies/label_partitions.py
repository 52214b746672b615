"""Partitions of labeled rows among clients, as the publications make them."""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer]
Clients = NDArray[np.int64]
"""Number of the client of each row, (N,)."""
LEAST_ROWS = 10
"""Of the smallest client; NIID-Bench draws again until each has as many."""


def by_dirichlet(labels: Labels, num_clients: int, alpha: float, generator: np.random.Generator) -> Clients:
    """Divide each class by proportions drawn from a Dirichlet distribution (Li et al. 2022, NIID-Bench).

    Clients that already have an equal share of all rows get no more. The sizes of clients differ.
    """
    equal_share = len(labels) / num_clients
    while True:
        clients = np.full(len(labels), -1, np.int64)
        for label in np.unique(labels):
            rows = generator.permutation(np.flatnonzero(labels == label))
            sizes = np.bincount(clients[clients >= 0], minlength=num_clients)
            shares = generator.dirichlet(np.full(num_clients, alpha)) * (sizes < equal_share)
            ends = (np.cumsum(shares / shares.sum())[:-1] * len(rows)).astype(int)
            for client, part in enumerate(np.split(rows, ends)):
                clients[part] = client
        if np.bincount(clients, minlength=num_clients).min() >= LEAST_ROWS:
            return clients


def by_classes(labels: Labels, num_clients: int, count: int, generator: np.random.Generator) -> Clients:
    """Give each client `count` classes, and divide each class equally among its clients (NIID-Bench's #C).

    The first class of client i is i; so each class has a client if there are as many clients as classes.
    """
    classes = np.unique(labels)
    owners: dict[int, list[int]] = {int(label): [] for label in classes}
    for client in range(num_clients):
        first = client % len(classes)
        others = generator.choice(np.delete(classes, first), count - 1, replace=False)
        for label in (classes[first], *others):
            owners[int(label)].append(client)
    clients = np.full(len(labels), -1, np.int64)
    for label, of_label in owners.items():
        rows = generator.permutation(np.flatnonzero(labels == label))
        for client, part in zip(of_label, np.array_split(rows, len(of_label)), strict=True):
            clients[part] = client
    return clients


def by_shards(labels: Labels, num_clients: int, count: int, generator: np.random.Generator) -> Clients:
    """Sort the rows by label, cut them into equal shards, and give each client `count` shards at random.

    It is the pathological partition of McMahan et al. 2017, section 3, whose clients have two.
    """
    order = np.lexsort((generator.random(len(labels)), labels))
    shards = np.array_split(order, num_clients * count)
    clients = np.empty(len(labels), np.int64)
    for position, shard in enumerate(generator.permutation(len(shards))):
        clients[shards[shard]] = position // count
    return clients
