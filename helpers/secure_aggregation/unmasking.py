"""The aggregator's part in a securely aggregated round: it removes the masks from the sum."""

from collections.abc import Mapping, Sequence

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
        ValueError: too few sites revealed their shares, or the shares do not fit a site's key.
    """
    clients = list(keys)
    for client in survivors:
        shares = {by: each.own_masks.get(str(client)) for by, each in revealed}
        add_mask(sums, own_mask_key(_recover(shares, clients)), -1)
    for client in set(members) - set(survivors):
        shares = {by: each.keys.get(str(client)) for by, each in revealed}
        masking = private_key(_recover(shares, clients))
        if public_bytes(masking).hex() != keys[client].masking:
            raise ValueError(f"the shares of the key of client {client} do not fit the key that it announced")
        for other in survivors:
            key = pairwise_mask_key(masking, keys[other], round_id)
            add_mask(sums, key, -pairwise_sign(other, client))


def _recover(shares: Mapping[int, str | None], clients: Sequence[int]) -> bytes:
    known = {by: read_hex(share, SEED_BYTES) for by, share in shares.items() if share is not None}
    return recover_secret(known, clients)
