"""Shares of secrets: any two thirds of the sites can recover one, fewer learn nothing (Shamir 1979)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, islice

from Crypto.Protocol.SecretSharing import Shamir

from helpers.federated.quorum import two_thirds

MOST_CHOICES = 5000
"""Of shares, from which a secret is recovered: enough to leave out any three of thirty."""


def split_secret(secret: bytes, clients: Sequence[int]) -> dict[int, bytes]:
    """Return a share of the secret (SEED_BYTES) for each client; `two_thirds` of them recover it."""
    ordered = sorted(clients)
    shares = Shamir.split(two_thirds(len(ordered)), len(ordered), secret)
    return {ordered[index - 1]: share for index, share in shares}


def recover_secret(
    shares: Mapping[int, bytes], clients: Sequence[int], is_secret: Callable[[bytes], bool]
) -> tuple[bytes, list[int]]:
    """Return the secret from shares by client, of which some may be false, and the clients of those used.

    Args:
        shares: at least `two_thirds`; the first ones are tried first.
        clients: all among whom it was split.
        is_secret: recognizes it.

    Raises:
        ValueError: too few shares, one of another length, or too many false ones: at most MOST_CHOICES are
            tried.
    """
    ordered = sorted(clients)
    needed = two_thirds(len(ordered))
    if len(shares) < needed:
        raise ValueError(f"{len(shares)} shares, {needed} are needed")
    known = list(shares.items())
    choices = (
        [item for item in known if item not in left_out][:needed]
        for number in range(len(known) - needed + 1)
        for left_out in combinations(known, number)
    )
    for chosen in islice(choices, MOST_CHOICES):
        secret: bytes = Shamir.combine([(ordered.index(client) + 1, share) for client, share in chosen])
        if is_secret(secret):
            return secret, [client for client, _ in chosen]
    raise ValueError(f"no {needed} of {len(shares)} shares give it")
