"""Moving statistics of batch normalization that hold the steps of one round."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf


class RoundStatistics(keras.callbacks.Callback):
    """Starts the moving statistics of batch normalization again in every round.

    Step t of the round keeps the share min(momentum, (t - 1) / t) of them. So they are the plain mean over
    the round's steps, and after many steps the moving average over the last ones.

    Args:
        layers: batch normalization of a model that has not been traced yet; their momentum is replaced.
        momentum: share that a step keeps at most.
    """

    def __init__(self, layers: Iterable[keras.layers.BatchNormalization], momentum: float) -> None:
        super().__init__()
        self._momentum = momentum
        self._kept = tf.Variable(0.0, trainable=False)  # Keras' own variables would join the model's weights
        for layer in layers:
            layer.momentum = self._kept

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._kept.assign(min(self._momentum, batch / (batch + 1)))
