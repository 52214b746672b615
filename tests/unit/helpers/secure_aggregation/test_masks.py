"""Masks: the same for both sites, and gone when added and subtracted."""

import os

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from helpers.secure_aggregation.masks import add_mask, agree, derive_key, private_key, public_bytes


def test_two_sites_agree_on_a_key_that_depends_on_its_purpose() -> None:
    one, two = private_key(b"1" * 16), private_key(b"2" * 16)
    key = agree(one, public_bytes(two), b"mask")
    assert key == agree(two, public_bytes(one), b"mask")
    assert key != agree(one, public_bytes(two), b"shares")
    assert public_bytes(private_key(b"1" * 16)) == public_bytes(one)


def test_keys_are_those_of_rfc_5869() -> None:
    # Its test case 3 (SHA-256, no salt and no info), the first 32 bytes.
    assert derive_key(b"\x0b" * 22, b"").hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    )


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the library's words
        agree(private_key(b"1" * 16), bytes(32), b"mask")  # a point of low order
    with pytest.raises(ValueError):  # noqa: PT011
        agree(private_key(b"1" * 16), b"short", b"mask")


def test_a_mask_is_one_keystream_over_all_arrays_and_can_be_removed() -> None:
    arrays = [np.arange(40_000, dtype=np.uint32).reshape(200, 200), np.ones(3, np.uint32)]
    masked, key = [array.copy() for array in arrays], os.urandom(32)
    add_mask(masked, key, 1)
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(4 * 40_003))
    noise = np.frombuffer(stream, "<u4")
    np.testing.assert_array_equal(masked[0].reshape(-1) - arrays[0].reshape(-1), noise[:40_000])
    np.testing.assert_array_equal(masked[1] - arrays[1], noise[40_000:])
    add_mask(masked, key, -1)
    for got, want in zip(masked, arrays, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_masked_vector_has_the_same_distribution_whatever_it_hides() -> None:
    for value in (0, 2**31):
        masked = [np.full(100_000, value, np.uint32)]
        add_mask(masked, os.urandom(32), 1)
        bits = np.unpackbits(masked[0].view(np.uint8)).reshape(-1, 32).mean(axis=0)
        assert np.abs(bits - 0.5).max() < 0.01  # six standard deviations
