"""Rows of the prepared arrays to batches for Keras, made ahead in a thread."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from preprocessing.augment_images import Augment, augmentation

PREFETCHED_BATCHES = 4


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
    """Shuffle and augment rows of the training split, anew in each of some epochs, one after another.

    The same arguments give the same batches, in any process.

    Args:
        images: (N, H, W, 3), 0-255, usually memory-mapped.
        labels: (N,), 0 or 1.
        rows: the client's rows.
        batch_size: images per batch; the last one of an epoch may be smaller.
        epochs: how often every row comes.
        augmentation_name: a key of AUGMENTATIONS.
        seed: non-negative integers, such as (seed, round, client).

    Returns:
        Batches of images float32 (B, H, W, 3) in [0, 1] and labels float32 (B, 1).
    """
    generator = np.random.default_rng(seed)
    first_order = generator.permutation(rows)
    augment = augmentation(augmentation_name, images.shape[1:3], seed=int(generator.integers(2**32)))

    def rows_of_batches() -> Iterator[NDArray[np.integer]]:
        for epoch in range(epochs):
            order = generator.permutation(rows) if epoch else first_order
            for start in range(0, len(rows), batch_size):
                yield order[start : start + batch_size]

    return _dataset(images, labels, rows_of_batches, epochs * -(-len(rows) // batch_size), augment)


def evaluation_batches(images: NDArray[np.uint8], batch_size: int) -> tf.data.Dataset:
    """Batches of all images in order, unchanged but for the scale: float32 (B, H, W, 3) in [0, 1]."""

    def batches() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(images), batch_size):
            yield np.divide(images[start : start + batch_size], 255, dtype=np.float32)

    signature = tf.TensorSpec((None, *images.shape[1:]), tf.float32)
    return _ahead(batches, signature, num_batches=-(-len(images) // batch_size))


def _dataset(
    images: NDArray[np.uint8],
    labels: NDArray[np.int32],
    rows_of_batches: Callable[[], Iterator[NDArray[np.integer]]],
    num_batches: int,
    augment: Augment,
) -> tf.data.Dataset:
    def batches() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        for rows in rows_of_batches():
            batch = np.empty((len(rows), *images.shape[1:]), np.float32)
            for target, row in zip(batch, rows, strict=True):
                target[...] = augment(images[row])
            yield batch, labels[rows].astype(np.float32).reshape(-1, 1)

    signature = (
        tf.TensorSpec((None, *images.shape[1:]), tf.float32),
        tf.TensorSpec((None, 1), tf.float32),
    )
    return _ahead(batches, signature, num_batches)


def _ahead(batches: Callable[[], Iterator[Any]], signature: Any, num_batches: int) -> tf.data.Dataset:
    """Run a generator of batches in a thread of its own, a few batches ahead of the training.

    Nothing is left to tf.data's tuning: its thread tunes nothing here, sleeps ever longer (5 s, 10 s), and
    now and then the end of an epoch waits until it wakes.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature).with_options(options)
    counted = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
    return counted.prefetch(PREFETCHED_BATCHES)
