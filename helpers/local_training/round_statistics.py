"""Moving statistics of batch normalization that hold the steps of one round."""

from collections.abc import Iterable

import keras
import tensorflow as tf


class RoundStatistics:
    """Starts the moving statistics of batch normalization again in every round.

    Step t of the round keeps the share min(momentum, (t - 1) / t) of them. So they are the plain mean over
    the round's steps, and after many steps the moving average over the last ones.

    Args:
        layers: batch normalization of a model that has not been traced yet; their momentum is replaced.
        momentum: share that a step keeps at most.
    """

    def __init__(self, layers: Iterable[keras.layers.BatchNormalization], momentum: float) -> None:
        self._momentum = momentum
        self._kept = tf.Variable(0.0, trainable=False)  # Keras' own variables would join the model's weights
        for layer in layers:
            layer.momentum = self._kept

    def begin_step(self, number: int) -> None:
        """Set the share for a step of the round, counted from 1."""
        self._kept.assign(min(self._momentum, (number - 1) / number))
