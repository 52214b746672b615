"""How many clients take part in a round, and how many of them it needs."""

import math


class QuorumError(Exception):
    """Too few usable updates in a round."""


def sample_size(num_clients: int, fraction: float) -> int:
    """Return how many clients take part in a round: their fraction, rounded to the nearest, at least one."""
    return max(1, int(fraction * num_clients + 0.5))


def two_thirds(num_sites: int) -> int:
    """Return how many of the sites a secure aggregation needs in each step: two thirds, at least two."""
    return max(2, math.ceil(2 * num_sites / 3))


def clients_needed(min_clients: float, num_clients: int) -> int:
    """Return the least number of usable updates.

    Args:
        min_clients: below 1 a fraction of the clients, rounded up; from 1 a number, at most all of them.
        num_clients: participants of the round.
    """
    if min_clients < 1:
        return max(1, math.ceil(min_clients * num_clients))
    return min(num_clients, math.ceil(min_clients))
