"""Shares of secrets: two thirds recover them, fewer know nothing."""

import os
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.quorum import two_thirds
from helpers.secure_aggregation.shares import recover_secret, split_secret


@given(st.sets(st.integers(0, 1000), min_size=2, max_size=6))
def test_any_two_thirds_recover_a_secret(clients: set[int]) -> None:
    secret = os.urandom(16)
    shares = split_secret(secret, [*clients])
    for some in combinations(shares.items(), two_thirds(len(clients))):
        assert recover_secret(dict(some), [*clients]) == secret
    assert recover_secret(shares, [*clients]) == secret


def test_fewer_shares_fit_any_secret() -> None:
    """With one share too few, each value of the missing one gives another secret: none is excluded."""
    shares = split_secret(os.urandom(16), range(4))
    known = {client: shares[client] for client in (0, 2)}
    with pytest.raises(ValueError, match="2 shares, 3 are needed"):
        recover_secret(known, range(4))
    guesses = (bytes([guess, *range(15)]) for guess in range(256))
    assert len({recover_secret({**known, 1: guess}, range(4)) for guess in guesses}) == 256
