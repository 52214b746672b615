"""Codec between named arrays and bytes (safetensors: data only, no code), and the digest of such bytes."""

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import ArraySpec, Schema, Weights

Buffers = Sequence[bytes | memoryview]
"""Bytes in several buffers, to be read one after another."""
PIECE_BYTES = 1 << 19
"""Length of a piece: 512 KiB stay in a processor's cache on their way from one buffer to the next."""
LIFETIME_S = 24 * 3600
"""Seconds a blob is kept after its last use: as long as a round may last (broker's visibility timeout)."""

_threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "digest")  # started when first needed

_DTYPES = {
    "I64": "int64",
    "F64": "float64",
    "F32": "float32",
    "I32": "int32",
    "F16": "float16",
    "I8": "int8",
    "U8": "uint8",
}
"""NumPy's dtypes by their safetensors names, in the order in which its own writer stores arrays."""
HEADER_LIMIT = 1 << 20
"""Largest header accepted, bytes; no registered network comes near it."""


class CodecError(ValueError):
    """The bytes are not the expected arrays. The reason is cut, as it may quote them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason[:500])


def encode(names: Sequence[str], arrays: Sequence[NDArray[np.generic]]) -> list[memoryview]:
    """Serialize arrays under their names, byte for byte as safetensors' own `save` does.

    Returns:
        Buffers that form the file: the header and the arrays' own memory, which is not copied.

    Raises:
        CodecError: two arrays share a name, or an array has a dtype that cannot be read back.
    """
    if len(set(names)) != len(names):
        raise CodecError("array names are not unique")
    kinds = {dtype: (position, kind) for position, (kind, dtype) in enumerate(_DTYPES.items())}
    if wrong := sorted({str(array.dtype) for array in arrays} - set(kinds)):
        raise CodecError(f"arrays of {', '.join(wrong)} cannot be stored, only {', '.join(kinds)}")
    by_name = dict(zip(names, arrays, strict=True))
    header: dict[str, Any] = {}
    buffers: list[memoryview] = []
    end = 0
    for name, array in sorted(by_name.items(), key=lambda item: (kinds[str(item[1].dtype)], item[0])):
        begin, end = end, end + array.nbytes
        kind = kinds[str(array.dtype)][1]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, end]}
        buffers.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [memoryview(struct.pack("<Q", len(text)) + text), *buffers]


def decode(data: bytes | memoryview, schema: Schema) -> Weights:
    """Return the arrays in joined output of `encode`, read-only and sharing its memory.

    The header is checked against `schema` and the length before any array is created, so a hostile length
    or shape uses no memory.

    Raises:
        CodecError: names what differs.
    """
    offsets, start = _read_header(data)
    if wrong := sorted(set(offsets) ^ {spec.name for spec in schema}):
        raise CodecError(f"{len(wrong)} names are missing or unexpected, such as {wrong[0]!r}")
    arrays = []
    for spec in schema:
        begin, end = offsets[spec.name][1]
        if offsets[spec.name][0] != spec:
            raise CodecError(f"received {offsets[spec.name][0]}, expected {spec}")
        if not 0 <= begin <= end <= len(data) - start or end - begin != spec.num_bytes:
            raise CodecError(f"{spec.name}: {end - begin} bytes at {begin} do not fit {spec}")
        count = spec.num_bytes // np.dtype(spec.dtype).itemsize
        flat = np.frombuffer(data, spec.dtype, count, offset=start + begin)
        arrays.append(flat.reshape(spec.shape))
    if start + sum(spec.num_bytes for spec in schema) != len(data):
        raise CodecError("bytes left over after the arrays")
    return arrays


def _read_header(
    data: bytes | memoryview,
) -> tuple[dict[str, tuple[ArraySpec, tuple[int, int]]], int]:
    if len(data) < 8:
        raise CodecError(f"{len(data)} bytes are too few")
    (size,) = struct.unpack("<Q", data[:8])
    if size > HEADER_LIMIT or size > len(data) - 8:
        raise CodecError(f"header of {size} bytes in {len(data)}")
    try:
        header = json.loads(bytes(data[8 : 8 + size]))
        header.pop("__metadata__", None)
        return {
            str(name): (
                ArraySpec(str(name), _DTYPES[entry["dtype"]], tuple(int(n) for n in entry["shape"])),
                (int(entry["data_offsets"][0]), int(entry["data_offsets"][1])),
            )
            for name, entry in header.items()
        }, 8 + size
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise CodecError(f"header not understood: {error}") from None


class StoreError(Exception):
    """The store could not be reached, or does not hold what a reference names."""


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
