"""Masks: keystreams of ChaCha20 whose keys come from random seeds and from agreements of two sites."""

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from helpers.federated.aggregation import CHUNK, chunks
from helpers.federated.sites.secure_messages import SHARE_BYTES
from helpers.secure_aggregation.fixed_point import Residues

SEED_BYTES = SHARE_BYTES
"""Length of a secret that is shared among the sites, and of its shares: their field is GF(2¹²⁸)."""
_ZEROS = memoryview(bytes(4 * CHUNK))


def derive_key(secret: bytes, purpose: bytes) -> bytes:
    """Return a key of 32 bytes (HKDF with SHA-256)."""
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret)


def private_key(seed: bytes) -> X25519PrivateKey:
    """Return the private key that follows from a seed."""
    return X25519PrivateKey.from_private_bytes(derive_key(seed, b"private key"))


def public_bytes(key: X25519PrivateKey) -> bytes:
    """Return the public part of a key, 32 bytes."""
    return key.public_key().public_bytes_raw()


def agree(own: X25519PrivateKey, other: bytes, purpose: bytes) -> bytes:
    """Return the key that two sites have in common, from one's private and the other's public part.

    Raises:
        ValueError: `other` is not a public key.
    """
    return derive_key(own.exchange(X25519PublicKey.from_public_bytes(other)), purpose)


def is_public_key(data: bytes) -> bool:
    """Return whether two sites can agree on a secret with a key: it is none of the few without one."""
    try:
        agree(private_key(bytes(SEED_BYTES)), data, b"")
    except ValueError:
        return False
    return True


def add_mask(residues: Residues, key: bytes, sign: int) -> None:
    """Add the keystream of a key, or subtract it where `sign` is negative, modulo 2³².

    A key makes one keystream, so it must mask one vector only.
    """
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
    change = np.add if sign > 0 else np.subtract
    for array in residues:
        flat = array.reshape(-1)  # a view: the arrays are contiguous
        for part in chunks(flat.size):
            noise = np.frombuffer(stream.update(_ZEROS[: 4 * flat[part].size]), "<u4")
            change(flat[part], noise, out=flat[part])
