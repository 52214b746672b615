"""The aggregator's part in a securely aggregated round: it removes the masks from the sum."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from helpers.federated.sites.secure_messages import PublicKeys, Revealed, read_hex
from helpers.secure_aggregation.fixed_point import Residues
from helpers.secure_aggregation.masks import SEED_BYTES, add_mask, private_key, public_bytes
from helpers.secure_aggregation.member import own_mask_key, pairwise_mask_key, pairwise_sign
from helpers.secure_aggregation.shares import recover_secret


def remove_masks(
    sums: Residues,
    keys: Mapping[int, PublicKeys],
    members: Sequence[int],
    survivors: Sequence[int],
    revealed: Sequence[tuple[int, Revealed]],
    round_id: str,
) -> None:
    """Remove all masks from the sum of the survivors' masked vectors, in place (round 4 of the protocol).

    Args:
        sums: modulo 2³².
        keys: of all sites among which the secrets were shared.
        members: sites with which the survivors masked their vectors.
        survivors: sites whose masked vectors are in the sum.
        revealed: what at least two thirds of the sites revealed, with the client that did.
        round_id: as for `Member`.

    Raises:
        ValueError: too few sites revealed their shares of a secret, or too many of them are false; it names
            the client whose secret it is.
    """
    recovery = _Recovery(list(keys))
    for client in survivors:
        shares = {by: each.own_masks.get(str(client)) for by, each in revealed}
        is_own_mask = partial(_has_digest, keys[client].own_mask)
        add_mask(sums, own_mask_key(recovery.secret_of(client, shares, is_own_mask)), -1)
    for client in set(members) - set(survivors):
        shares = {by: each.keys.get(str(client)) for by, each in revealed}
        is_masking_key = partial(_has_key, keys[client].masking)
        masking = private_key(recovery.secret_of(client, shares, is_masking_key))
        for other in survivors:
            key = pairwise_mask_key(masking, keys[other], round_id)
            add_mask(sums, key, -pairwise_sign(other, client))


class _Recovery:
    """Recovers secrets; clients whose shares were right are asked first, as who lied once may lie again."""

    def __init__(self, clients: list[int]) -> None:
        self._clients = clients
        self._right: list[int] = []

    def secret_of(
        self, client: int, shares: Mapping[int, str | None], is_secret: Callable[[bytes], bool]
    ) -> bytes:
        by = sorted(shares, key=lambda sender: sender not in self._right)
        known = {sender: read_hex(share, SEED_BYTES) for sender in by if (share := shares[sender])}
        try:
            secret, self._right = recover_secret(known, self._clients, is_secret)
        except ValueError as error:
            raise ValueError(
                f"the secret of client {client}: {error}; it has shared a false one, or others lie"
            ) from None
        return secret


def _has_digest(digest: str, seed: bytes) -> bool:
    return hashlib.sha256(seed).hexdigest() == digest


def _has_key(public: str, seed: bytes) -> bool:
    return public_bytes(private_key(seed)).hex() == public
