"""Codec between named arrays and bytes (safetensors: data only, no code), and the digest of such bytes."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from helpers.federated.weights import Schema, Weights, schema_of

Buffer = bytes | memoryview
Buffers = Sequence[Buffer]
"""Bytes in several buffers, to be read one after another."""
PIECE_BYTES = 1 << 19
"""Length of a piece: 512 KiB stay in a processor's cache on their way from one buffer to the next."""
LIFETIME_S = 24 * 3600
"""Seconds a blob is kept after its last use: as long as a round may last (broker's visibility timeout)."""

_threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "digest")  # started when first needed

DTYPES = ("int64", "float64", "float32", "int32", "float16", "int8", "uint8")
HEADER_LIMIT = 1 << 20
"""Largest header accepted, bytes; no registered network comes near it."""


class CodecError(ValueError):
    """The bytes are not the expected arrays. The reason is cut, as it may quote them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason[:500])


def encode(names: Sequence[str], arrays: Sequence[NDArray[np.generic]]) -> list[bytes]:
    """Serialize arrays under their names.

    Raises:
        CodecError: two arrays share a name, or an array has a dtype that cannot be read back.
    """
    if len(set(names)) != len(names):
        raise CodecError("array names are not unique")
    if wrong := sorted({str(array.dtype) for array in arrays} - set(DTYPES)):
        raise CodecError(f"arrays of {', '.join(wrong)} cannot be stored, only {', '.join(DTYPES)}")
    # The library writes the memory of an array, whatever its strides.
    in_order = (np.asarray(array, order="C") for array in arrays)
    return [save(dict(zip(names, in_order, strict=True)))]


def decode(data: bytes | bytearray | memoryview, schema: Schema) -> Weights:
    """Return the arrays in joined output of `encode`, in the order of `schema`.

    Raises:
        CodecError: they cannot be read, or differ from `schema`.
    """
    if (size := int.from_bytes(data[:8], "little")) > HEADER_LIMIT:  # the library's own limit is 100 MB
        raise CodecError(f"header of {size} bytes")
    try:
        arrays = load(bytes(data))
    except (SafetensorError, ValueError, TypeError, LookupError, OverflowError) as error:
        raise CodecError(f"not understood: {error}") from None
    if wrong := sorted(set(arrays) ^ {spec.name for spec in schema}):
        raise CodecError(f"{len(wrong)} names are missing or unexpected, such as {wrong[0]!r}")
    weights = [arrays[spec.name] for spec in schema]
    if (actual := schema_of([spec.name for spec in schema], weights)) != tuple(schema):
        raise CodecError(f"unexpected {', '.join(map(str, set(actual) - set(schema)))}")
    return weights


class StoreError(Exception):
    """The store does not hold what a reference names, or could not do what it was asked."""


class StoreAway(Exception):
    """The store does not answer, so nothing is known of what it holds; the task is repeated."""


class Digest:
    """Digest of bytes that arrive in parts: each part is hashed while the next is transferred.

    It is the sha256 of the sha256s of the pieces, in hex. A single sha256 over all bytes would keep one
    core busy for most of the time that a transfer of weights takes.
    """

    def __init__(self) -> None:
        self._hashed: list[Future[bytes]] = []

    def add(self, data: Buffers) -> None:
        """Add the next bytes: whole pieces, unless they are the last. They must not change afterwards."""
        self._hashed += [_threads.submit(_sha256, piece) for piece in pieces(data)]

    def hexdigest(self) -> str:
        """Wait for all pieces and return the digest."""
        return hashlib.sha256(b"".join(hashed.result() for hashed in self._hashed)).hexdigest()


def start_digest(data: Buffers) -> Digest:
    """Start to hash bytes that are complete."""
    digest = Digest()
    digest.add(data)
    return digest


def pieces(buffers: Buffers, size: int = PIECE_BYTES) -> Iterator[list[memoryview]]:
    """Cut the bytes of `buffers` into pieces of `size` bytes; the last piece may be shorter.

    Nothing is copied: a piece that crosses from one buffer into the next has several parts.
    """
    piece: list[memoryview] = []
    missing = size
    for buffer in buffers:
        rest = memoryview(buffer)
        while len(rest) >= missing:
            yield [*piece, rest[:missing]]
            rest = rest[missing:]
            piece, missing = [], size
        if len(rest):
            piece.append(rest)
            missing -= len(rest)
    if piece:
        yield piece


def _sha256(piece: list[memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in piece:
        digest.update(part)
    return digest.digest()
