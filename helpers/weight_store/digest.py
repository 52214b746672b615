"""The digest of a blob, computed by some threads at once."""

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor

from helpers.weight_store.pieces import Buffers, pieces

_threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "digest")  # started when first needed


class Digest:
    """The digest of bytes that come piece by piece, each hashed while the next are on their way.

    It is the sha256 of the sha256s of the pieces, in hex: one sha256 over everything would keep a single
    core busy for most of the time that weights take on their way.
    """

    def __init__(self) -> None:
        self._hashed: list[Future[bytes]] = []

    def add(self, data: Buffers) -> None:
        """Take the next bytes; only the last may be no whole number of pieces. They must stay as they are."""
        self._hashed += [_threads.submit(_sha256, piece) for piece in pieces(data)]

    def hexdigest(self) -> str:
        """Wait for the digest of all that was added."""
        return hashlib.sha256(b"".join(hashed.result() for hashed in self._hashed)).hexdigest()


def start_digest(data: Buffers) -> Digest:
    """Begin to hash bytes that are all there."""
    digest = Digest()
    digest.add(data)
    return digest


def _sha256(piece: list[memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in piece:
        digest.update(part)
    return digest.digest()
