"""Grad-CAM: where in an image a model saw signs of class 1."""

from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from helpers.global_config import UserError

IMAGES_AT_ONCE = 16  # the activations of all layers are kept for the gradient


class UnexplainableModelError(UserError):
    """The model has no layer that Grad-CAM explains, or not one output."""


def grad_cam(model: keras.Model, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the heat of the last convolutional layer for class 1, per image.

    Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", equations 1 and 2. The gradient is that of the score before the sigmoid, as there;
    after it, a sure decision would have none.

    Args:
        model: Sequential or functional, with a Conv2D of its own and, last, one unit with a sigmoid.
        images: float32 (N, H, W, 3), in [0, 1].

    Returns:
        float32 (N, H, W), in [0, 1]; the hottest place of an image is 1. All 0 where nothing in the image
        speaks for class 1.

    Raises:
        UnexplainableModelError: the model has no Conv2D, or does not end in one unit.
    """
    height, width = images.shape[1:3]
    part, kernel = _up_to_the_last_layer(model)
    heatmaps = np.zeros((len(images), height, width), np.float32)
    for start in range(0, len(images), IMAGES_AT_ONCE):
        heats = _heat(part, kernel, images[start : start + IMAGES_AT_ONCE])
        for heatmap, heat in zip(heatmaps[start:], heats, strict=False):
            heatmap[...] = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
            heatmap /= heatmap.max() or 1
    return heatmaps


def _up_to_the_last_layer(model: keras.Model) -> tuple[keras.Model, Any]:
    """The model that gives the last convolution's maps and the last layer's input; its kernel."""
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    if not convolutions:
        raise UnexplainableModelError(f"{model.name}: has no Conv2D, and Grad-CAM explains no other layer")
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.units != 1:
        raise UnexplainableModelError(f"{model.name}: ends in {last.name}, expected Dense with one unit")
    if not isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, [convolutions[-1].output, last.input]), last.kernel
    # Layers of a loaded Sequential have outputs of several calls, of which only the latest belong together.
    inputs = keras.Input(model.input_shape[1:])
    outputs = {}
    features = inputs
    for layer in model.layers[:-1]:
        features = outputs[layer.name] = layer(features)
    return keras.Model(inputs, [outputs[convolutions[-1].name], features]), last.kernel


def _heat(part: keras.Model, kernel: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """ReLU of the maps, each weighted by its mean gradient: float32 (N, h, w), not scaled."""
    with tf.GradientTape() as tape:
        pixels = tf.convert_to_tensor(images)
        tape.watch(pixels)
        maps, features = part(pixels, training=False)
        before_sigmoid = features @ kernel
    importance = tf.reduce_mean(tape.gradient(before_sigmoid, maps), axis=(1, 2), keepdims=True)
    heat: NDArray[np.float32] = tf.nn.relu(tf.reduce_sum(importance * maps, axis=-1)).numpy()
    return heat
