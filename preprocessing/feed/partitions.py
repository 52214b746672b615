"""Ways to divide rows among clients: each disjoint, complete, and the same for the same arguments.

Every function returns one int64 array of row numbers per client, ascending; every row is in exactly one of
them and none is empty, for which there must be no more clients than rows (or groups).
"""

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def iid_partition(num_rows: int, num_clients: int, seed: int) -> list[Rows]:
    """Divide rows by lot (IID), as evenly as possible: lengths differ by at most one."""
    shuffled = np.random.default_rng(seed).permutation(num_rows)
    return [np.sort(rows) for rows in np.array_split(shuffled, num_clients)]


def quantity_partition(num_rows: int, num_clients: int, seed: int) -> list[Rows]:
    """Give every client one row, and of the others client k a share proportional to 1/(k + 1) (Zipf's law).

    Which rows those are is drawn by lot, so clients differ in size alone.
    """
    shuffled = np.random.default_rng(seed).permutation(num_rows)
    weights = np.cumsum(1 / np.arange(1, num_clients + 1))
    more = np.rint((num_rows - num_clients) * weights / weights[-1]).astype(np.int64)
    ends = more + np.arange(1, num_clients + 1)
    return [np.sort(rows) for rows in np.split(shuffled, ends[:-1])]


def dirichlet_partition(labels: NDArray[np.int32], num_clients: int, alpha: float, seed: int) -> list[Rows]:
    """Give clients unlike shares of the classes (Hsu, Qi & Brown 2019, arXiv:1909.06335, section 3).

    Each client draws its mix of classes q ~ Dirichlet(α·p), p the classes' shares of all rows, then its rows
    by that mix without putting back; once a class is used up, from what is left of the mix. As in the
    paper clients are of equal size (lengths differ by at most one), so none is empty. Where α is small the
    last ones get what the others left.

    Args:
        labels: (N,), of all rows.
        num_clients: 1 to N.
        alpha: α > 0; towards infinity every mix is p, towards 0 every client has one class.
        seed: decides mixes and rows.
    """
    generator = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    pools = [generator.permutation(np.flatnonzero(labels == label)) for label in classes]
    taken = np.zeros(len(classes), np.int64)
    parts = []
    for share in np.array_split(np.arange(len(labels)), num_clients):
        mix = generator.dirichlet(alpha * counts / len(labels))
        own = np.zeros_like(taken)
        while need := len(share) - int(own.sum()):
            left = counts - taken - own
            open_mix = np.where(left > 0, mix, 0)
            odds = open_mix if open_mix.sum() > 0 else left
            own += np.minimum(generator.multinomial(need, odds / odds.sum()), left)
        ends = taken + own
        chosen = [pool[start:end] for pool, start, end in zip(pools, taken, ends, strict=True)]
        parts.append(np.sort(np.concatenate(chosen)))
        taken = ends
    return parts


def patient_partition(groups: Sequence[int] | Sequence[str], num_clients: int, seed: int) -> list[Rows]:
    """Divide whole groups (patients) so that clients have about as many rows each.

    The largest groups first, each to the client with fewest rows: the largest client is then at most a third
    larger than it must be (Graham 1969, SIAM J. Appl. Math. 17). Groups of one size are taken by lot.

    Args:
        groups: of each row; at least `num_clients` different ones.
        num_clients: 1 or more.
        seed: decides the order of groups of one size.
    """
    names, owner, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    home = np.empty(len(names), np.int64)
    loads = [(0, client) for client in range(num_clients)]
    for group in order:
        load, client = loads[0]
        home[group] = client
        heapq.heapreplace(loads, (load + int(sizes[group]), client))
    return _collect(home[owner], num_clients)


def site_partition(sites: Sequence[str]) -> list[Rows]:
    """One client for each different site, in alphabetical order."""
    names, owner = np.unique(np.asarray(sites), return_inverse=True)
    return _collect(owner, len(names))


def _collect(owner: NDArray[np.int64], num_clients: int) -> list[Rows]:
    """The rows of every client, from the client of every row."""
    ends = np.cumsum(np.bincount(owner, minlength=num_clients))
    return np.split(np.argsort(owner, kind="stable"), ends[:-1])
