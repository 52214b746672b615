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
        assert recover_secret(dict(some), [*clients], secret.__eq__)[0] == secret
    assert recover_secret(shares, [*clients], secret.__eq__)[0] == secret


def test_fewer_shares_fit_any_secret() -> None:
    """With one share too few, each value of the missing one gives another secret: none is excluded."""
    shares = split_secret(os.urandom(16), range(4))
    known = {client: shares[client] for client in (0, 2)}
    with pytest.raises(ValueError, match="2 shares, 3 are needed"):
        recover_secret(known, range(4), bool)
    guesses = (bytes([guess, *range(15)]) for guess in range(256))
    assert len({recover_secret({**known, 1: guess}, range(4), lambda _: True)[0] for guess in guesses}) == 256


@pytest.mark.parametrize(("num_sites", "false"), [(3, [0]), (3, [2]), (6, [0, 5]), (30, [0, 1, 29])])
def test_false_shares_are_left_out(num_sites: int, false: list[int]) -> None:
    secret = os.urandom(16)
    shares = split_secret(secret, range(num_sites)) | {client: bytes(16) for client in false}
    found, right = recover_secret(shares, range(num_sites), secret.__eq__)
    assert found == secret
    assert not set(right) & set(false)


def test_too_many_false_shares_are_noticed() -> None:
    secret = os.urandom(16)
    shares = split_secret(secret, range(4)) | {0: bytes(16), 1: bytes(16)}
    with pytest.raises(ValueError, match="no 3 of 4 shares give it"):
        recover_secret(shares, range(4), secret.__eq__)
