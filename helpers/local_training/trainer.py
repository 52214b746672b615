"""One local update: from the global weights to a client's own."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import Weights
from helpers.model_instance_helper import ModelInstance


@dataclass(frozen=True)
class LocalUpdate:
    """What a local training gave.

    Attributes:
        weights: arrays in model order.
        num_examples: training images seen.
        loss: mean binary cross-entropy over the images, as training went on.
    """

    weights: Weights
    num_examples: int
    loss: float


class _Progress(keras.callbacks.Callback):
    """Tell after every batch how many are done."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        super().__init__()
        self._tell = tell

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._tell(batch + 1)


def train_locally(
    instance: ModelInstance,
    weights: Weights,
    batches: Any,
    *,
    num_examples: int,
    learning_rate: float,
    seed: list[int],
    tell_batch: Callable[[int], None] = lambda batch: None,
) -> LocalUpdate:
    """Train one epoch from `weights` with a fresh Adam.

    Args:
        instance: the model; its weights are overwritten.
        weights: the global weights, in model order.
        batches: what Keras' `fit` takes: images float32 (B, H, W, C) in [0, 1], labels (B, 1).
        num_examples: how many images `batches` hold.
        learning_rate: Adam's.
        seed: determines the dropout masks.
        tell_batch: called after every batch with the number of batches done.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    instance.begin_training(weights, learning_rate, seed)
    history = instance.model.fit(
        batches, epochs=1, shuffle=False, verbose=0, callbacks=[_Progress(tell_batch)]
    )
    loss = float(history.history["loss"][0])
    if not math.isfinite(loss):
        raise FloatingPointError(f"the training loss became {loss}; lower BASE_LR")
    return LocalUpdate(list(instance.model.get_weights()), num_examples, loss)


def predict_scores(instance: ModelInstance, batches: Any) -> NDArray[np.float32]:
    """Return the probability of class 1 for every image of `batches`: float32 (N,)."""
    scores: NDArray[np.float32] = instance.model.predict(batches, verbose=0)
    return scores.reshape(-1).astype(np.float32)
