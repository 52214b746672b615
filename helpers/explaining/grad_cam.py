"""Grad-CAM heatmaps: image regions that support class 1, or the decided class."""

from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from helpers.settings.errors import UserError

IMAGES_AT_ONCE = 16  # the activations of all layers are kept for the gradient


class UnexplainableModelError(UserError):
    """The model has no Conv2D layer, or does not end in a Dense layer."""


def grad_cam(
    model: keras.Model, images: NDArray[np.float32], classes: NDArray[np.integer] | None = None
) -> NDArray[np.float32]:
    """Compute the Grad-CAM heatmap of the last feature maps for one class per image.

    These are the maps that global average pooling averages, without it those of the last Conv2D.

    Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", equations 1 and 2. As there, the gradient is that of the score before the sigmoid or
    softmax: after it, it vanishes for confident decisions.

    Args:
        model: Sequential or functional, with a Conv2D at its top level and a final Dense layer: one unit
            with a sigmoid, or one unit per class with a softmax.
        images: float32 (N, H, W, 3), in [0, 1].
        classes: (N,), unit to explain; None: that of the most probable class. A single unit is class 1.

    Returns:
        float32 (N, H, W), in [0, 1], with maximum 1 per image. All 0 if nothing in the image supports the
        class.

    Raises:
        UnexplainableModelError: the model has no Conv2D, or does not end in a Dense layer.
    """
    height, width = images.shape[1:3]
    part, last = _up_to_the_last_layer(model)
    heatmaps = np.zeros((len(images), height, width), np.float32)
    for start in range(0, len(images), IMAGES_AT_ONCE):
        rows = slice(start, start + IMAGES_AT_ONCE)
        heats = _heat(part, last, images[rows], None if classes is None else classes[rows])
        for heatmap, heat in zip(heatmaps[start:], heats, strict=False):
            heatmap[...] = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
            heatmap /= heatmap.max() or 1
    return heatmaps


def _up_to_the_last_layer(model: keras.Model) -> tuple[keras.Model, Any]:
    """Return a model from images to the last feature maps and the last layer's input; that layer."""
    last = model.layers[-1]
    kinds = (keras.layers.Conv2D, keras.layers.GlobalAveragePooling2D)
    candidates = [layer for layer in model.layers if isinstance(layer, kinds)]
    if not any(isinstance(layer, keras.layers.Conv2D) for layer in candidates):
        raise UnexplainableModelError(f"{model.name}: has no Conv2D layer, which Grad-CAM needs")
    if not isinstance(last, keras.layers.Dense):
        raise UnexplainableModelError(f"{model.name}: ends in {last.name}, expected a Dense layer")
    chosen = candidates[-1]
    is_pool = isinstance(chosen, keras.layers.GlobalAveragePooling2D)
    if not isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, [chosen.input if is_pool else chosen.output, last.input]), last
    # Layers of a loaded Sequential were called several times: their outputs may belong to different graphs.
    inputs = keras.Input(model.input_shape[1:])
    outputs = [inputs]
    for layer in model.layers[:-1]:
        outputs.append(layer(outputs[-1]))
    maps = outputs[model.layers.index(chosen) + (0 if is_pool else 1)]
    return keras.Model(inputs, [maps, outputs[-1]]), last


def _heat(
    part: keras.Model, last: Any, images: NDArray[np.float32], classes: NDArray[np.integer] | None
) -> NDArray[np.float32]:
    """Return the ReLU of the sum of maps weighted by their mean gradients: float32 (N, h, w), unscaled."""
    with tf.GradientTape() as tape:
        pixels = tf.convert_to_tensor(images)
        tape.watch(pixels)
        maps, features = part(pixels, training=False)
        units = features @ last.kernel
        if last.use_bias:  # affects which class is decided, not the gradient
            units += last.bias
        explained = tf.one_hot(tf.argmax(units, axis=1) if classes is None else classes, last.units)
        before_softmax = units * tf.cast(explained, units.dtype)
    importance = tf.reduce_mean(tape.gradient(before_softmax, maps), axis=(1, 2), keepdims=True)
    heat: NDArray[np.float32] = tf.nn.relu(tf.reduce_sum(importance * maps, axis=-1)).numpy()
    return heat
