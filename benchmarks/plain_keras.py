"""Plain Keras: the README's network and `model.fit`, without the project's tasks."""

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.processes import peak_bytes
from helpers.architectures.seed_cnn import build_seed_cnn

PREDICTED_AT_ONCE = 32


class PlainKeras:
    """A client as one would write it without the project: images in memory, a model, `fit`.

    Args:
        folder: holds x_train.npy, y_train.npy, x_val.npy, y_val.npy as preprocessing writes them.
        rows: the client's training rows.
        batch_size: images per training step.
        threads: of TensorFlow; 0 leaves the number to TensorFlow.
    """

    def __init__(self, folder: Path, rows: NDArray[np.int64], batch_size: int, threads: int) -> None:
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.images, self.labels = load(folder, "train", rows)
        self.val_images, self.val_labels = load(folder, "val")
        self._batch_size = batch_size
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The compiled model, built on first use."""
        if self._model is None:
            keras.utils.set_random_seed(42)
            self._model = build_seed_cnn(self.images.shape[1:])
            self._model.compile(keras.optimizers.Adam(), "binary_crossentropy", jit_compile=False)
            self._model.optimizer.build(self._model.trainable_variables)
        return self._model

    def fit(self) -> None:
        """Train one epoch with a reset optimizer."""
        for variable in self.model.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        self.model.optimizer.learning_rate = 0.001
        self.model.fit(self.images, self.labels, batch_size=self._batch_size, epochs=1, verbose=0)

    def predict(self) -> NDArray[np.float32]:
        """Return the probabilities of the validation images: float32 (N,)."""
        scores: NDArray[np.float32] = self.model.predict(
            self.val_images, batch_size=PREDICTED_AT_ONCE, verbose=0
        )
        return scores.reshape(-1)

    def epoch(self) -> dict[str, float]:
        """Train one epoch and return its `seconds`."""
        began = time.perf_counter()
        self.fit()
        return {"seconds": time.perf_counter() - began}

    def peak(self) -> int:
        """Return the peak memory of this process, bytes."""
        return peak_bytes()


def load(folder: Path, split: str, rows: NDArray[np.int64] | None = None) -> tuple[Any, Any]:
    """Return rows (default: all) of a split: images float32 (N, H, W, 3) in [0, 1], labels float32 (N, 1)."""
    images = np.load(folder / f"x_{split}.npy", mmap_mode="r")
    labels = np.load(folder / f"y_{split}.npy")
    chosen = np.arange(len(labels)) if rows is None else rows
    scaled = np.divide(images[chosen], 255, dtype=np.float32)
    return scaled, labels[chosen].astype(np.float32).reshape(-1, 1)
