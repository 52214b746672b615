"""Krum's score of an update: the sum of its squared distances to its nearest neighbors.

Blanchard et al. 2017, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent". Of K updates
f may be malicious, K ≥ 2f + 3, and an update's K − f − 2 nearest others count. Distances are over the
trainable arrays together.

If honest updates are within D of each other, every chosen update is honest or within
D · √((K − f − 2) / (K − 2f − 1)) of an honest one. This says nothing about arrays that are not trained: a
malicious client may train honestly and send a moving variance of 1e30. Of these arrays the result has the
median over all updates, which f < K / 2 malicious clients cannot move out of the honest range.
"""

from collections.abc import Iterable, Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.quorum import QuorumError
from helpers.federated.strategies.base import ServerInputs, Strategy, Update
from helpers.federated.strategies.median import median
from helpers.federated.weights import Weights, check_alike


class ScoredStrategy(Strategy):
    """A strategy that keeps the updates with the lowest scores; `choose` says how."""

    reads = ("NUM_MALICIOUS",)

    @property
    def num_needed(self) -> int:
        """Fewest updates for which the score is defined: 2f + 3."""
        return 2 * int(self.settings["NUM_MALICIOUS"]) + 3

    def shortage(self, num_clients: int) -> str:
        if num_clients >= self.num_needed:
            return ""
        settings = self.settings
        return (
            f"NUM_MALICIOUS: received {settings['NUM_MALICIOUS']}: STRATEGY={settings['STRATEGY']} needs "
            f"2 · NUM_MALICIOUS + 3 = {self.num_needed} clients, {num_clients} take part in a round: lower "
            "it, or have more clients"
        )

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        received = [update.weights for update in updates]
        settings, num_malicious = self.settings, int(self.settings["NUM_MALICIOUS"])
        if len(received) < self.num_needed:
            raise QuorumError(
                f"{len(received)} usable updates of {server.num_participants} clients; "
                f"NUM_MALICIOUS={num_malicious}: {settings['STRATEGY']} needs {self.num_needed}. Lower "
                "NUM_MALICIOUS, or resume when more clients answer"
            )
        return self.choose(received, server.trainable, num_malicious), []

    def choose(self, updates: Sequence[Weights], trainable: Sequence[bool], num_malicious: int) -> Weights:
        """Return the next global weights from at least `num_needed` updates."""
        raise NotImplementedError


def with_median_statistics(
    weights: Weights, updates: Sequence[Weights], trainable: Sequence[bool]
) -> Weights:
    """Return the weights, with the median of all updates in place of the arrays that are not trained."""
    fixed = [not is_trained for is_trained in trainable]
    medians = iter(median([list(compress(update, fixed)) for update in updates]))
    return [next(medians) if is_fixed else own for own, is_fixed in zip(weights, fixed, strict=True)]


def order_by_score(updates: Sequence[Weights], trainable: Sequence[bool], num_malicious: int) -> list[int]:
    """Return the indices of the updates, lowest score first, equal ones in their order.

    Raises:
        ValueError: fewer than 2f + 3 updates.
    """
    nearest = len(updates) - num_malicious - 2
    needed = 2 * num_malicious + 3
    if num_malicious < 0 or len(updates) < needed:
        raise ValueError(f"{num_malicious} malicious clients: needs {needed} updates, not {len(updates)}")
    distances = squared_distances(updates, trainable)
    np.fill_diagonal(distances, -1)  # an update itself sorts to the front and is skipped
    scores = np.sort(distances, axis=1)[:, 1 : nearest + 1].sum(axis=1)
    return [int(index) for index in np.argsort(scores, kind="stable")]


def squared_distances(updates: Sequence[Weights], trainable: Sequence[bool]) -> NDArray[np.float64]:
    """Return the (K, K) squared Euclidean distances over the trainable arrays together, in float64.

    Raises:
        ValueError: arrays that differ in number or shape.
    """
    check_alike(updates)
    distances = np.zeros((len(updates), len(updates)))
    for is_trained, *arrays in zip(trainable, *updates, strict=True):
        if not is_trained:
            continue
        rows = [array.reshape(-1) for array in arrays]
        for chunk in chunks(rows[0].size):
            block = np.array([row[chunk] for row in rows], np.float64)
            for index in range(len(rows) - 1):
                differences = block[index + 1 :] - block[index]
                distances[index, index + 1 :] += np.square(differences, out=differences).sum(axis=1)
    return distances + distances.T
