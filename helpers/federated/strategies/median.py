"""Coordinate-wise median (Yin et al. 2018, "Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates", Definition 1). It tolerates fewer than half of the clients being malicious.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from helpers.federated.strategies.base import ServerInputs, Strategy, Update
from helpers.federated.strategies.coordinates import combine_by_coordinate
from helpers.federated.weights import Weights


class Median(Strategy):
    """Median of every coordinate; every client counts alike."""

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        return median([update.weights for update in updates]), []


def median(updates: Sequence[Weights]) -> Weights:
    """Return the coordinate-wise median, the mean of the middle two where their number is even.

    Args:
        updates: the clients' weights, arrays in model order.

    Raises:
        ValueError: no update, or arrays that differ in number or shape.
    """
    return combine_by_coordinate(updates, lambda block: np.median(block, axis=0))
