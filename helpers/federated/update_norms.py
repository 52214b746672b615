"""Refusal of updates whose change is absurdly large next to those of the other clients of the round.

Clients report the norm of their change, so that the median is known before the first update is read.
"""

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.messages import MessageError
from helpers.federated.replies import USABLE, ClientReply
from helpers.federated.weights import Weights, check_alike

LEAST_UPDATES = 3
"""With fewer updates, none can be called absurd next to the others."""
TOLERANCE = 1e-3
"""Relative difference between a reported norm and that of the update itself."""


def change_norm(weights: Weights, global_weights: Weights) -> float:
    """Return the Euclidean norm of the change of all arrays together, in float64.

    Raises:
        ValueError: arrays that differ in number or shape.
    """
    check_alike([weights, global_weights])
    return math.sqrt(sum(squared_distance(*pair) for pair in zip(weights, global_weights, strict=True)))


def squared_distance(new: NDArray[np.generic], old: NDArray[np.generic]) -> float:
    """Return the squared Euclidean distance of two arrays of equal shape, in float64."""
    flat_new, flat_old = new.reshape(-1), old.reshape(-1)
    parts = (np.subtract(flat_new[part], flat_old[part], dtype=np.float64) for part in chunks(new.size))
    return sum(float(np.square(part).sum()) for part in parts)


def norm_to_report(weights: Weights, global_weights: Weights) -> float:
    """Return the norm of a client's change; 0 if it is not finite, which the aggregation sees by itself."""
    norm = change_norm(weights, global_weights)
    return norm if math.isfinite(norm) else 0.0


class NormCheck:
    """Compares the updates of a round with the norms that its clients report.

    Args:
        replies: of the round.
        max_ratio: the setting MAX_UPDATE_RATIO; 0 refuses nothing.
        shortage: says what the strategy lacks with a number of updates. Where it could not do without the
            absurd ones, such as a median, they stay: such a strategy is made for them.
    """

    def __init__(
        self, replies: Sequence[ClientReply], max_ratio: float, shortage: Callable[[int], str]
    ) -> None:
        norms = [reply.update_norm or 0.0 for reply in replies if reply.status in USABLE]
        self.is_active = bool(max_ratio) and len(norms) >= LEAST_UPDATES
        self._median = statistics.median(norms) if self.is_active else 0.0
        self._limit = max_ratio * self._median or math.inf
        if shortage(sum(norm <= self._limit for norm in norms)):
            self._limit = math.inf

    def check(self, reply: ClientReply, weights: Weights, global_weights: Weights) -> None:
        """Refuse an update of absurd norm, or of another norm than its client reports.

        Raises:
            MessageError: saying which.
        """
        norm, reported = change_norm(weights, global_weights), reply.update_norm
        if norm > self._limit:
            raise MessageError(
                f"its change has the norm {norm:.3g}, the median of the round is {self._median:.3g}; "
                "MAX_UPDATE_RATIO sets the limit"
            )
        if reported is None or not math.isclose(norm, reported, rel_tol=TOLERANCE, abs_tol=1e-12):
            raise MessageError(f"its change has the norm {norm:.3g}, its client reports {reported}")
