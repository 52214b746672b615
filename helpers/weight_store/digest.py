"""The digest of a blob, computed by some threads at once."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from helpers.weight_store.pieces import Buffers, pieces

THREADS = min(4, os.cpu_count() or 1)


@contextlib.contextmanager
def hashing(data: Buffers) -> Iterator[Callable[[], str]]:
    """Hash the bytes of `data` while the body runs; what this gives waits for the digest.

    The digest is the sha256 of the sha256s of the pieces, in hex: one sha256 over everything would
    keep a single core busy for most of the time that weights take on their way.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        digests = threads.map(_sha256, pieces(data))
        yield lambda: hashlib.sha256(b"".join(digests)).hexdigest()


def _sha256(piece: list[memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in piece:
        digest.update(part)
    return digest.digest()
