"""Rounds of the protocol without messages: sites that may drop out in any phase, and the aggregator."""

from collections.abc import Collection

import numpy as np

from helpers.federated.weights import Schema, Weights, schema_of
from helpers.secure_aggregation.fixed_point import Residues, add_residues, decode_mean, encode_change
from helpers.secure_aggregation.member import Member
from helpers.secure_aggregation.unmasking import remove_masks

ROUND = "run/session/1"
IS_TRAINED = (True, True, False)


def random_weights(seed: int) -> Weights:
    """Two trained arrays and moving statistics."""
    generator = np.random.default_rng(seed)
    return [
        generator.normal(size=(3, 5)).astype(np.float32),
        generator.normal(size=(7,)).astype(np.float32),
        generator.uniform(0, 900, (4,)).astype(np.float32),
    ]


def schema() -> Schema:
    return schema_of(["kernel", "bias", "moving_variance"], random_weights(0))


def encoded(local: Weights, start: Weights, weight: int, total: int) -> Residues:
    return encode_change(schema(), local, start, IS_TRAINED, weight, total)


def masked_sum(
    vectors: dict[int, Residues],
    dropped_before: Collection[int] = (),
    dropped_after: Collection[int] = (),
    dropped_at_the_end: Collection[int] = (),
) -> Residues:
    """What the aggregator gets from a round.

    Args:
        vectors: by client.
        dropped_before: sites that drop out before they send their masked vector.
        dropped_after: sites that drop out before they share their secrets.
        dropped_at_the_end: sites that do not reveal their shares.
    """
    members = {client: Member(client, ROUND) for client in vectors}
    keys = {client: member.public_keys() for client, member in members.items()}
    sealed = {client: members[client].share(keys) for client in keys if client not in dropped_after}
    survivors = [client for client in sealed if client not in dropped_before]
    sums: Residues = [np.zeros(spec.shape, np.uint32) for spec in schema()]
    for client in survivors:
        vector = [array.copy() for array in vectors[client]]
        to_it = {other: shares[client] for other, shares in sealed.items() if other != client}
        members[client].mask(vector, to_it)
        add_residues(sums, vector)
    revealed = [
        (client, members[client].reveal(survivors))
        for client in survivors
        if client not in dropped_at_the_end
    ]
    remove_masks(sums, keys, list(sealed), survivors, revealed, ROUND)
    return sums


def decoded(sums: Residues, start: Weights, weight: int, total: int) -> Weights:
    return decode_mean(schema(), sums, start, IS_TRAINED, weight, total)
