"""Coordinate-wise trimmed mean (Yin et al. 2018, "Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates", Definition 2).
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from helpers.federated.quorum import QuorumError
from helpers.federated.strategies.base import ServerInputs, Strategy, Update
from helpers.federated.strategies.coordinates import combine_by_coordinate
from helpers.federated.weights import Weights


class TrimmedMean(Strategy):
    """Mean of every coordinate without its largest and smallest values; TRIM_FRACTION of them at each end."""

    reads = ("TRIM_FRACTION",)

    def num_tolerated(self, num_clients: int) -> int:
        """Return how many malicious clients are tolerated; a client that does not answer counts as well."""
        return math.floor(float(self.settings["TRIM_FRACTION"]) * num_clients + 1e-9)

    def shortage(self, num_clients: int) -> str:
        if self.num_tolerated(num_clients):
            return ""
        return (
            f"TRIM_FRACTION: received {self.settings['TRIM_FRACTION']}: of {num_clients} clients a round "
            "this is less than one, so nothing would be trimmed; trimmed_mean needs at least three clients a "
            "round, and TRIM_FRACTION to be at least one of them"
        )

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        received = [update.weights for update in updates]
        trimmed = self.num_tolerated(server.num_participants)
        if len(received) < 2 * trimmed + 1:
            raise QuorumError(
                f"{len(received)} usable updates of {server.num_participants} clients; "
                f"TRIM_FRACTION={self.settings['TRIM_FRACTION']}: trimmed_mean needs {2 * trimmed + 1} to "
                f"tolerate {trimmed} malicious clients. Lower TRIM_FRACTION, or resume when more clients "
                "answer"
            )
        return trimmed_mean(received, trimmed), []


def trimmed_mean(updates: Sequence[Weights], trimmed: int) -> Weights:
    """Return the mean of each coordinate without its `trimmed` largest and `trimmed` smallest values.

    It tolerates `trimmed` malicious clients. With none trimmed, it is the plain mean.

    Args:
        updates: the clients' weights, arrays in model order.
        trimmed: 0 to below half of them.

    Raises:
        ValueError: nothing would be left, or arrays that differ in number or shape.
    """
    kept = slice(trimmed, len(updates) - trimmed)
    if trimmed < 0 or kept.start >= kept.stop:
        raise ValueError(f"{trimmed} trimmed at each end of {len(updates)} updates leave nothing")
    return combine_by_coordinate(updates, lambda block: np.sort(block, axis=0)[kept].mean(axis=0))
