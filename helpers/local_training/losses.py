"""Training loss with label smoothing (Szegedy et al. 2016, "Rethinking the Inception Architecture for
Computer Vision", section 7).
"""

from typing import Any

import keras


def smoothed_loss(num_outputs: int, smoothing: float) -> keras.losses.Loss:
    """Return Keras' cross-entropy with label smoothing, for labels (B, 1).

    Args:
        num_outputs: of the model; 1 with two classes, else the number of classes.
        smoothing: ε, between 0 and 1.
    """
    if num_outputs == 1:
        return keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
    return SmoothedSparseCrossentropy(num_outputs, smoothing)


class SmoothedSparseCrossentropy(keras.losses.CategoricalCrossentropy):
    """Keras' categorical cross-entropy of labels that are numbers; its sparse one has no smoothing."""

    def __init__(self, num_classes: int, smoothing: float) -> None:
        super().__init__(label_smoothing=smoothing)
        self._num_classes = num_classes

    def call(self, y_true: Any, y_pred: Any) -> Any:
        classes = keras.ops.cast(keras.ops.squeeze(y_true, -1), "int32")
        return super().call(keras.ops.one_hot(classes, self._num_classes), y_pred)
