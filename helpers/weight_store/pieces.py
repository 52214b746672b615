"""Bytes that lie in several buffers, cut into pieces of one size."""

from collections.abc import Iterator, Sequence

Buffers = Sequence[bytes | memoryview]
"""Bytes in several buffers, to be read one after another."""
PIECE_BYTES = 1 << 19
"""Length of a piece: 512 KiB stay in a processor's cache on their way from one buffer to the next."""


def pieces(buffers: Buffers, size: int = PIECE_BYTES) -> Iterator[list[memoryview]]:
    """Cut the bytes of `buffers` into pieces of `size` bytes; the last is what is left.

    Nothing is copied: a piece that crosses from one buffer into the next is in more than one part.
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
