"""Partitions of rows among clients: pure functions, one per scheme.

Every function returns one int64 array of ascending row numbers per client. Every row is in exactly one of
them, and none is empty as long as clients do not outnumber rows (or groups).
"""

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def iid_partition(num_rows: int, num_clients: int, seed: int) -> list[Rows]:
    """Divide rows at random (IID) and evenly: lengths differ by at most one."""
    shuffled = np.random.default_rng(seed).permutation(num_rows)
    return [np.sort(rows) for rows in np.array_split(shuffled, num_clients)]


def quantity_partition(num_rows: int, num_clients: int, seed: int) -> list[Rows]:
    """Divide rows at random into sizes of one plus a share proportional to 1/(k + 1), k = 0, 1, … (Zipf).

    Clients differ only in size.
    """
    shuffled = np.random.default_rng(seed).permutation(num_rows)
    weights = np.cumsum(1 / np.arange(1, num_clients + 1))
    extra = np.rint((num_rows - num_clients) * weights / weights[-1]).astype(np.int64)
    ends = extra + np.arange(1, num_clients + 1)
    return [np.sort(rows) for rows in np.split(shuffled, ends[:-1])]


def dirichlet_partition(labels: NDArray[np.int32], num_clients: int, alpha: float, seed: int) -> list[Rows]:
    """Divide rows with different class mixes per client (Hsu, Qi & Brown 2019, arXiv:1909.06335, section 3).

    Each client draws its mix of classes q ~ Dirichlet(α·p), where p is the mix of all rows. It then draws
    rows by q without replacement; an exhausted class leaves the mix. As in the paper, clients have equal
    sizes (lengths differ by at most one). With a small α, the last clients get the remaining rows.

    Args:
        labels: (N,), of all rows.
        num_clients: 1 to N.
        alpha: α > 0; towards infinity every mix is p, towards 0 every client has one class.
        seed: determines mixes and rows.
    """
    generator = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    pools = [generator.permutation(np.flatnonzero(labels == label)) for label in classes]
    taken = np.zeros(len(classes), np.int64)
    parts = []
    for share in np.array_split(np.arange(len(labels)), num_clients):
        mix = generator.dirichlet(alpha * counts / len(labels))
        drawn = np.zeros_like(taken)
        while need := len(share) - int(drawn.sum()):
            left = counts - taken - drawn
            open_mix = np.where(left > 0, mix, 0)
            odds = open_mix if open_mix.sum() > 0 else left
            drawn += np.minimum(generator.multinomial(need, odds / odds.sum()), left)
        ends = taken + drawn
        chosen = [pool[start:end] for pool, start, end in zip(pools, taken, ends, strict=True)]
        parts.append(np.sort(np.concatenate(chosen)))
        taken = ends
    return parts


def patient_partition(groups: Sequence[int] | Sequence[str], num_clients: int, seed: int) -> list[Rows]:
    """Divide whole groups (patients) so that clients have similar numbers of rows.

    Each group, the largest first, goes to the client with the fewest rows. The largest client is then at most
    a third above the optimum (Graham 1969, SIAM J. Appl. Math. 17). Groups of equal size are shuffled.

    Args:
        groups: group of each row; at least `num_clients` distinct ones.
        num_clients: 1 or more.
        seed: determines the order of groups of equal size.
    """
    names, owner, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    client_of = np.empty(len(names), np.int64)
    loads = [(0, client) for client in range(num_clients)]
    for group in order:
        load, client = loads[0]
        client_of[group] = client
        heapq.heapreplace(loads, (load + int(sizes[group]), client))
    return _rows_by_client(client_of[owner], num_clients)


def site_partition(sites: Sequence[str]) -> list[Rows]:
    """Return one client per distinct site, in alphabetical order."""
    names, owner = np.unique(np.asarray(sites), return_inverse=True)
    return _rows_by_client(owner, len(names))


def _rows_by_client(owner: NDArray[np.int64], num_clients: int) -> list[Rows]:
    """Return the rows of every client, from the client of every row."""
    ends = np.cumsum(np.bincount(owner, minlength=num_clients))
    return np.split(np.argsort(owner, kind="stable"), ends[:-1])
