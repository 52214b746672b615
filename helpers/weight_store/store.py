"""The weight store: arrays under a key for a limited time, and verified references to them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import redis
from numpy.typing import NDArray

from helpers.federated.messages import Reference
from helpers.federated.weights import Schema, Weights, num_bytes, schema_of
from helpers.weight_store.codec import (
    HEADER_LIMIT,
    Buffers,
    CodecError,
    Digest,
    StoreAway,
    StoreError,
    decode,
    encode,
    start_digest,
)
from helpers.weight_store.file_store import FileStore
from helpers.weight_store.redis_store import RedisStore

__all__ = ["MemoryStore", "StoreAway", "StoreError", "WeightStore", "get_arrays", "open_store", "put_arrays"]


class WeightStore(Protocol):
    """Bytes under keys. Implementations: RedisStore, FileStore, MemoryStore."""

    def put(self, key: str, data: Buffers) -> None:
        """Store the bytes of `data`, one buffer after another, under `key`: all or nothing.

        Raises:
            StoreError: they could not be stored.
        """

    def get(self, key: str, limit: int, digest: Digest | None = None) -> bytes | memoryview:
        """Return the bytes under `key`, read-only; add them to `digest` while they arrive.

        Raises:
            StoreError: the key is missing, or holds more than `limit` bytes.
            StoreAway: the store does not answer.
        """

    def delete(self, keys: Sequence[str]) -> None:
        """Delete keys; missing ones are ignored."""

    def delete_others(self, prefix: str, own: str) -> None:
        """Delete what earlier sessions left: keys that begin with `prefix`, unless they begin with `own`."""


def open_store(address: str, client: redis.Redis) -> WeightStore:
    """Open the store at `address`.

    Args:
        address: a valid WEIGHT_STORE: `redis`, or `file:///folder`.
        client: the connection that `redis` stands for.

    Raises:
        ConfigError: the folder cannot be made, read or written.
    """
    if address == "redis":
        return RedisStore(client)
    return FileStore(Path(url2pathname(urlsplit(address).path)))


def put_arrays(
    store: WeightStore, key: str, names: Sequence[str], arrays: Sequence[NDArray[np.generic]]
) -> Reference:
    """Store arrays under `key` and return the reference that locates and verifies them."""
    data = encode(names, arrays)
    digest = start_digest(data)
    store.put(key, data)  # while threads hash
    return Reference(key, sum(map(len, data)), digest.hexdigest(), schema_of(names, arrays))


def get_arrays(store: WeightStore, reference: Reference, schema: Schema) -> Weights:
    """Fetch arrays by reference, which is not trusted, and verify that they fit `schema`.

    Raises:
        StoreError: the bytes are missing, or their length, digest or schema is wrong.
        StoreAway: the store does not answer.
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

    def delete_others(self, prefix: str, own: str) -> None:
        self.delete([key for key in self.blobs if key.startswith(prefix) and not key.startswith(own)])
