"""How many clients a round has, and how many of them it needs."""

import math


class QuorumError(Exception):
    """Too few updates of a round can be used."""


def sample_size(num_clients: int, fraction: float) -> int:
    """How many of the clients take part in a round: their part, rounded to the nearest, at least one."""
    return max(1, int(fraction * num_clients + 0.5))


def clients_needed(min_clients: float, num_clients: int) -> int:
    """Return the least number of usable updates.

    Args:
        min_clients: below 1 a fraction of the clients, rounded up; from 1 a number, at most all of them.
        num_clients: participants of the round.
    """
    if min_clients < 1:
        return max(1, math.ceil(min_clients * num_clients))
    return min(num_clients, math.ceil(min_clients))


def num_tolerated(strategy: str, trim_fraction: float, num_malicious: int, num_clients: int) -> int:
    """Return how many liars a robust strategy with a parameter holds out against; 0 for all others.

    Args:
        strategy: STRATEGY.
        trim_fraction: TRIM_FRACTION; so many of the clients, rounded down, are trimmed at each end.
        num_malicious: NUM_MALICIOUS.
        num_clients: participants of the round; that some do not answer makes no liar honest.
    """
    if strategy == "trimmed_mean":
        return math.floor(trim_fraction * num_clients + 1e-9)  # 0.29 · 100 is a little below 29
    return num_malicious if strategy in ("krum", "multi_krum") else 0


def updates_needed(strategy: str, liars: int) -> int:
    """Return the least number of updates with which `strategy` is defined against so many liars."""
    return {"trimmed_mean": 2 * liars + 1, "krum": 2 * liars + 3, "multi_krum": 2 * liars + 3}.get(
        strategy, 1
    )
