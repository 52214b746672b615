"""The weight store: bytes under a key for a limited time, and references to them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from helpers.federated.messages import Reference
from helpers.federated.weights import Schema, Weights, num_bytes, schema_of
from helpers.weight_store.codec import HEADER_LIMIT, CodecError, decode, encode
from helpers.weight_store.digest import Digest, start_digest
from helpers.weight_store.pieces import Buffers

LIFETIME_S = 24 * 3600
"""Seconds a blob lives after its last use: as long as a round may last (the broker's visibility timeout)."""


class StoreError(Exception):
    """The store could not be reached, or does not hold what a reference names."""


class WeightStore(Protocol):
    """Bytes under keys. Implementations: RedisStore, FileStore, MemoryStore."""

    def put(self, key: str, data: Buffers) -> None:
        """Keep the bytes of `data`, one buffer after another, under `key`: whole or not at all.

        Raises:
            StoreError: it could not be kept.
        """

    def get(self, key: str, limit: int, digest: Digest | None = None) -> bytes | memoryview:
        """Return what lies under `key`; it cannot be written to. `digest` is given the bytes as they come.

        Raises:
            StoreError: nothing there, more than `limit` bytes, or out of reach.
        """

    def delete(self, keys: Sequence[str]) -> None:
        """Forget keys; absent ones are no error."""


class MemoryStore:
    """A store inside one process, for tests."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def put(self, key: str, data: Buffers) -> None:
        self.blobs[key] = b"".join(data)

    def get(self, key: str, limit: int, digest: Digest | None = None) -> bytes:
        if key not in self.blobs:
            raise StoreError(f"{key}: not in the store")
        if len(self.blobs[key]) > limit:
            raise StoreError(f"{key}: more bytes than the {limit} expected")
        if digest is not None:
            digest.add([self.blobs[key]])
        return self.blobs[key]

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.blobs.pop(key, None)


def put_arrays(
    store: WeightStore, key: str, names: Sequence[str], arrays: Sequence[NDArray[np.generic]]
) -> Reference:
    """Store arrays under `key` and return the reference that finds and verifies them."""
    data = encode(names, arrays)
    digest = start_digest(data)
    store.put(key, data)  # meanwhile
    return Reference(key, sum(map(len, data)), digest.hexdigest(), schema_of(names, arrays))


def get_arrays(store: WeightStore, reference: Reference, schema: Schema) -> Weights:
    """Fetch arrays by reference and verify them.

    Args:
        reference: as a peer sent it; nothing in it is trusted.
        schema: what the arrays must be here.

    Raises:
        StoreError: the bytes are missing, or their length, digest or schema is not as it must be.
    """
    if reference.schema != schema:
        raise StoreError(f"{reference.key}: other names, shapes or dtypes than the model's")
    if reference.length > num_bytes(schema) + HEADER_LIMIT:
        raise StoreError(f"{reference.key}: {reference.length} bytes are more than the model can have")
    digest = Digest()
    data = store.get(reference.key, reference.length, digest)
    if len(data) != reference.length:
        raise StoreError(f"{reference.key}: {len(data)} bytes, {reference.length} announced")
    if digest.hexdigest() != reference.sha256:
        raise StoreError(f"{reference.key}: sha256 differs from the announced one")
    try:
        return decode(data, schema)
    except CodecError as error:
        raise StoreError(f"{reference.key}: {error}") from None
