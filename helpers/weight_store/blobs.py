"""Blobs: bytes in several buffers, cut into pieces of one size and hashed on their way."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

Buffers = Sequence[bytes | memoryview]
"""Bytes in several buffers, to be read one after another."""
PIECE_BYTES = 1 << 19
"""Length of a piece: 512 KiB stay in a processor's cache on their way from one buffer to the next."""
LIFETIME_S = 24 * 3600
"""Seconds a blob is kept after its last use: as long as a round may last (broker's visibility timeout)."""

_threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "digest")  # started when first needed


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
