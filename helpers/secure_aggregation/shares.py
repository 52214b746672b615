"""Shares of secrets: any two thirds of the sites can recover one, fewer learn nothing (Shamir 1979)."""

import math
from collections.abc import Mapping, Sequence

from Crypto.Protocol.SecretSharing import Shamir

LEAST_SITES = 2


def threshold(num_sites: int) -> int:
    """Return how many of the sites must be left for a sum: two thirds, rounded up, at least two."""
    return max(LEAST_SITES, math.ceil(2 * num_sites / 3))


def split_secret(secret: bytes, clients: Sequence[int]) -> dict[int, bytes]:
    """Return a share of the secret (SEED_BYTES) for each client; `threshold` of them recover it."""
    ordered = sorted(clients)
    shares = Shamir.split(threshold(len(ordered)), len(ordered), secret)
    return {ordered[index - 1]: share for index, share in shares}


def recover_secret(shares: Mapping[int, bytes], clients: Sequence[int]) -> bytes:
    """Return the secret from shares by client.

    Args:
        shares: at least `threshold`.
        clients: all among whom it was split.

    Raises:
        ValueError: too few shares, or one of another length.
    """
    ordered = sorted(clients)
    needed = threshold(len(ordered))
    if len(shares) < needed:
        raise ValueError(f"{len(shares)} shares, {needed} are needed")
    chosen = sorted(shares.items())[:needed]
    return Shamir.combine([(ordered.index(client) + 1, share) for client, share in chosen])
