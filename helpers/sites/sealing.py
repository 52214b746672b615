"""Sealing of what sites and the coordinator put into the weight store: no one else can read or change it.

Two parties derive the same secret from one's private and the other's public X25519 key. From it, a random
salt and the key of the blob, HKDF derives a key of its own for each blob, which ChaCha20-Poly1305 uses once.
"""

import os
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from helpers.weight_store.codec import Buffers, Digest, StoreError
from helpers.weight_store.store import WeightStore

SALT_BYTES = 32
OVERHEAD = SALT_BYTES + 16
"""Bytes by which a sealed blob is longer: the salt, and the tag of ChaCha20-Poly1305."""
NONCE = bytes(12)  # each key is used once


class Sealer:
    """Seals and opens blobs between two parties.

    Args:
        own: private key of this party.
        other: public key of the other one.
    """

    def __init__(self, own: X25519PrivateKey, other: X25519PublicKey) -> None:
        self._secret = own.exchange(other)

    def seal(self, key: str, data: bytes) -> bytes:
        """Return sealed bytes that can be opened under this key of the store only."""
        salt = os.urandom(SALT_BYTES)
        return salt + self._cipher(key, salt).encrypt(NONCE, data, None)

    def open(self, key: str, data: bytes) -> bytes:
        """Return what was sealed under this key.

        Raises:
            StoreError: neither party sealed it under this key, or it was changed.
        """
        salt, sealed = data[:SALT_BYTES], data[SALT_BYTES:]
        try:
            return self._cipher(key, salt).decrypt(NONCE, sealed, None)
        except InvalidTag:
            raise StoreError(f"{key}: not sealed by its site and the coordinator, or changed") from None

    def _cipher(self, key: str, salt: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(HKDF(SHA256(), 32, salt, key.encode()).derive(self._secret))


class SealedStore:
    """A weight store in which the blobs of sites are sealed; global weights are not.

    Args:
        store: keeps the bytes.
        sealer_for: returns what seals the blob under a key; None for a blob that all members may read.
    """

    def __init__(self, store: WeightStore, sealer_for: Callable[[str], Sealer | None]) -> None:
        self._store = store
        self._sealer_for = sealer_for

    def put(self, key: str, data: Buffers) -> None:
        sealer = self._sealer_for(key)
        self._store.put(key, [sealer.seal(key, b"".join(data))] if sealer else data)

    def get(self, key: str, limit: int, digest: Digest | None = None) -> bytes | memoryview:
        sealer = self._sealer_for(key)
        if sealer is None:
            return self._store.get(key, limit, digest)
        data = sealer.open(key, bytes(self._store.get(key, limit + OVERHEAD)))
        if digest is not None:
            digest.add([data])
        return data

    def delete(self, keys: Sequence[str]) -> None:
        self._store.delete(keys)

    def delete_others(self, prefix: str, own: str) -> None:
        self._store.delete_others(prefix, own)
