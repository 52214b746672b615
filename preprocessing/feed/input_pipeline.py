"""Batches from rows of the prepared arrays, made ahead of time in a thread."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from preprocessing.feed.augment_images import augmentation

PREFETCHED_BATCHES = 4
PREFETCHED_BYTES = 2**28  # upper limit; at least one batch is prefetched
Batch = TypeVar("Batch")


def training_batches(
    images: NDArray[np.uint8],
    labels: NDArray[np.int32],
    rows: NDArray[np.integer],
    *,
    batch_size: int,
    epochs: int,
    augmentation_name: str,
    seed: list[int],
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return shuffled and augmented batches of training rows for several epochs, one after the other.

    Every epoch shuffles and augments again. The same arguments give the same batches in any process.

    Args:
        images: (N, H, W, C), 0-255, usually memory-mapped.
        labels: (N,), 0 to k - 1.
        rows: the client's rows.
        batch_size: images per batch; the last batch of an epoch may be smaller.
        epochs: number of times that every row occurs.
        augmentation_name: as in `augmentation`.
        seed: non-negative integers, such as (seed, round, client).

    Returns:
        Batches of images float32 (B, H, W, C) in [0, 1] and labels float32 (B, 1).
    """
    generator = np.random.default_rng(seed)
    first_order = generator.permutation(rows)
    augment = augmentation(augmentation_name, images.shape[1:3], seed=int(generator.integers(2**32)))

    def batches() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        for epoch in range(epochs):
            order = generator.permutation(rows) if epoch else first_order
            for start in range(0, len(rows), batch_size):
                chosen = order[start : start + batch_size]
                batch = np.empty((len(chosen), *images.shape[1:]), np.float32)
                for target, row in zip(batch, chosen, strict=True):
                    target[...] = augment(images[row])
                yield batch, labels[chosen].astype(np.float32).reshape(-1, 1)

    return _ahead(batches(), epochs * -(-len(rows) // batch_size), _prefetched(batch_size, images))


def evaluation_batches(images: NDArray[np.uint8], batch_size: int) -> Iterator[NDArray[np.float32]]:
    """Return batches of all images in order, only scaled: float32 (B, H, W, C) in [0, 1]."""
    starts = range(0, len(images), batch_size)
    scaled = (np.divide(images[start : start + batch_size], 255, dtype=np.float32) for start in starts)
    return _ahead(scaled, len(starts), _prefetched(batch_size, images))


def _prefetched(batch_size: int, images: NDArray[np.uint8]) -> int:
    """Return the number of batches to prefetch, fewer for large images."""
    batch_bytes = batch_size * int(np.prod(images.shape[1:])) * np.dtype(np.float32).itemsize
    return max(1, min(PREFETCHED_BATCHES, PREFETCHED_BYTES // batch_bytes))


def _ahead(batches: Iterator[Batch], number: int, ahead: int) -> Iterator[Batch]:
    """Make `number` batches ahead of their user; a single one is not worth a thread."""
    return batches if number == 1 else _in_thread(batches, ahead)


def _in_thread(batches: Iterator[Batch], ahead: int) -> Iterator[Batch]:
    """Run an iterator in a thread, `ahead` batches before its user, who may stop at any of them."""
    thread = ThreadPoolExecutor(1)
    try:
        waiting = deque(thread.submit(next, batches, None) for _ in range(ahead))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, batches, None))
            yield batch
    finally:
        thread.shutdown(cancel_futures=True)
