"""Shares of secrets: any two thirds of the sites can recover one, fewer learn nothing (Shamir 1979)."""

from collections.abc import Mapping, Sequence

from Crypto.Protocol.SecretSharing import Shamir

from helpers.federated.quorum import two_thirds


def split_secret(secret: bytes, clients: Sequence[int]) -> dict[int, bytes]:
    """Return a share of the secret (SEED_BYTES) for each client; `two_thirds` of them recover it."""
    ordered = sorted(clients)
    shares = Shamir.split(two_thirds(len(ordered)), len(ordered), secret)
    return {ordered[index - 1]: share for index, share in shares}


def recover_secret(shares: Mapping[int, bytes], clients: Sequence[int]) -> bytes:
    """Return the secret from shares by client.

    Args:
        shares: at least `two_thirds`.
        clients: all among whom it was split.

    Raises:
        ValueError: too few shares, or one of another length.
    """
    ordered = sorted(clients)
    needed = two_thirds(len(ordered))
    if len(shares) < needed:
        raise ValueError(f"{len(shares)} shares, {needed} are needed")
    chosen = sorted(shares.items())[:needed]
    return Shamir.combine([(ordered.index(client) + 1, share) for client, share in chosen])
