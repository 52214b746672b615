"""The digest of a blob, computed by some threads at once."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from helpers.weight_store.pieces import Buffers, pieces

_threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "digest")  # started when first needed


def start_digest(data: Buffers) -> Callable[[], str]:
    """Begin to hash the bytes of `data`; what this returns waits for the digest.

    The digest is the sha256 of the sha256s of the pieces, in hex: one sha256 over everything would
    keep a single core busy for most of the time that weights take on their way.
    """
    digests = _threads.map(_sha256, pieces(data))
    return lambda: hashlib.sha256(b"".join(digests)).hexdigest()


def _sha256(piece: list[memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in piece:
        digest.update(part)
    return digest.digest()
