"""One local update: from the global weights to a client's own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import Weights
from helpers.model_instance_helper import ModelInstance

NO_CORRECTIONS: Mapping[str, NDArray[np.generic]] = {}


@dataclass(frozen=True)
class LocalUpdate:
    """What a local training gave.

    Attributes:
        weights: arrays in model order.
        num_batches: training steps made.
        loss: mean cross-entropy over the images, as training went on; without class weights, so that it
            compares with that on validation.
    """

    weights: Weights
    num_batches: int
    loss: float


class _AskEveryBatch(keras.callbacks.Callback):
    """Tell after every batch how many are done, and stop if the answer is no."""

    def __init__(self, go_on: Callable[[int], bool]) -> None:
        super().__init__()
        self._go_on = go_on
        self.num_batches = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.num_batches = batch + 1
        if not self._go_on(self.num_batches):
            self.model.stop_training = True


def train_locally(
    instance: ModelInstance,
    weights: Weights,
    batches: Any,
    *,
    learning_rate: float,
    seed: list[int],
    class_weight: dict[int, float] | None = None,
    corrections: Mapping[str, NDArray[np.generic]] = NO_CORRECTIONS,
    go_on: Callable[[int], bool] = lambda num_batches: True,
) -> LocalUpdate:
    """Train on all of `batches` from `weights` with a fresh optimizer.

    Args:
        instance: the model; its weights are overwritten.
        weights: those to begin with, in model order.
        batches: what Keras' `fit` takes: images float32 (B, H, W, C) in [0, 1], labels
            float32 (B, 1), 0 to the number of classes - 1.
        learning_rate: of the optimizer.
        seed: determines the dropout masks.
        class_weight: what an image of each class counts in the loss; None counts all alike.
        corrections: what SCAFFOLD adds to the gradients, by name of the weights.
        go_on: asked after every batch, with the number of batches done; False ends the training there.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    instance.begin_training(weights, learning_rate, seed, corrections)
    asking = _AskEveryBatch(go_on)
    history = instance.model.fit(
        batches, epochs=1, shuffle=False, class_weight=class_weight, verbose=0, callbacks=[asking]
    )
    trained_on, reported = (float(history.history[name][0]) for name in ("loss", instance.loss))
    if not math.isfinite(trained_on):
        raise FloatingPointError(f"the training loss became {trained_on}; lower BASE_LR")
    return LocalUpdate(list(instance.model.get_weights()), asking.num_batches, reported)


def predict_scores(instance: ModelInstance, batches: Any) -> NDArray[np.float32]:
    """Return the probabilities for every image of `batches`.

    Returns:
        Of two classes that of class 1, float32 (N,); of more those of each, float32 (N, number of classes).
    """
    scores: NDArray[np.float32] = instance.model.predict(batches, verbose=0).astype(np.float32)
    return scores.reshape(-1) if scores.shape[-1] == 1 else scores
