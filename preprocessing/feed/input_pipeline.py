"""Batches for Keras from rows of the prepared arrays, made ahead of time in a thread."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from preprocessing.feed.augment_images import augmentation

PREFETCHED_BATCHES = 4
PREFETCHED_BYTES = 2**28  # upper limit; at least one batch is prefetched


def training_batches(
    images: NDArray[np.uint8],
    labels: NDArray[np.int32],
    rows: NDArray[np.integer],
    *,
    batch_size: int,
    epochs: int,
    augmentation_name: str,
    seed: list[int],
) -> tf.data.Dataset:
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

    pixels, classes = (tf.TensorSpec((None, *shape), tf.float32) for shape in (images.shape[1:], (1,)))
    num_batches = epochs * -(-len(rows) // batch_size)
    return _ahead(batches, (pixels, classes), num_batches, _prefetched(batch_size, images))


def evaluation_batches(images: NDArray[np.uint8], batch_size: int) -> tf.data.Dataset:
    """Return batches of all images in order, only scaled: float32 (B, H, W, C) in [0, 1]."""

    def batches() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(images), batch_size):
            yield np.divide(images[start : start + batch_size], 255, dtype=np.float32)

    signature = tf.TensorSpec((None, *images.shape[1:]), tf.float32)
    ahead = _prefetched(batch_size, images)
    return _ahead(batches, signature, -(-len(images) // batch_size), ahead)


def _prefetched(batch_size: int, images: NDArray[np.uint8]) -> int:
    """Return the number of batches to prefetch, fewer for large images."""
    batch_bytes = batch_size * int(np.prod(images.shape[1:])) * np.dtype(np.float32).itemsize
    return max(1, min(PREFETCHED_BATCHES, PREFETCHED_BYTES // batch_bytes))


# `from_generator` is avoided: with Python 3.11 it sets glibc's mmap threshold to 128 KiB for the whole
# process, so that every activation of every step is allocated from the kernel and returned to it. tf.data's
# autotuning is off: its thread has nothing to tune here, sleeps ever longer (5 s, 10 s), and sometimes the
# end of an epoch waits until it wakes.
def _ahead(
    batches: Callable[[], Iterator[Any]], signature: Any, num_batches: int, ahead: int = PREFETCHED_BATCHES
) -> tf.data.Dataset:
    """Run a generator in a thread, `ahead` batches before training.

    The dataset allows one iteration at a time. A number of batches other than `num_batches` is an error.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    iteration: Iterator[Any] = iter(())

    def next_batch(index: np.int64) -> Any:
        nonlocal iteration
        if index == 0:
            iteration = zip(range(num_batches), batches(), strict=True)
        _, batch = next(iteration)
        if index == num_batches - 1:
            next(iteration, None)  # raises if there are more
        return batch

    structure = tf.nest.flatten(signature)

    def fetch(index: tf.Tensor) -> Any:
        fetched = tf.numpy_function(next_batch, [index], [spec.dtype for spec in structure])
        for tensor, spec in zip(fetched, structure, strict=True):
            tensor.set_shape(spec.shape)
        return tf.nest.pack_sequence_as(signature, fetched)

    numbers = tf.data.Dataset.range(num_batches).with_options(options)
    return numbers.map(fetch).prefetch(ahead)
