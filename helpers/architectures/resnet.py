"""Small residual network with group normalization."""

from typing import Any

import keras
from keras import layers

from helpers.architectures.head import probability_layer

STAGES = (32, 64, 128)
"""Filters of each stage; every stage but the first halves height and width."""
BLOCKS = 2
GROUPS = 8


def build_resnet_groupnorm(input_shape: tuple[int, int, int], num_classes: int = 2) -> keras.Model:
    """Build the network, uncompiled: 695,457 parameters at three channels and two classes, at any size.

    Residual blocks as in He et al. 2016, "Deep Residual Learning for Image Recognition", figure 2, with the
    group normalization of Wu and He 2018: it has no statistics that differ between clients, so only
    weights are averaged (Hsieh et al. 2020, "The Non-IID Data Quagmire of Decentralized Machine Learning").

    Args:
        input_shape: height, width, channels; height and width at least 8. Inputs are float32 in [0, 1].
        num_classes: at least 2.

    Returns:
        A model that ends in `probability_layer`.
    """
    image = layers.Input(input_shape, name="image")
    features = _convolution(STAGES[0], 2, "stem_conv")(image)
    features = layers.Activation("relu", name="stem_relu")(_norm("stem_norm")(features))
    for number, filters in enumerate(STAGES, 1):
        for block in range(1, BLOCKS + 1):
            strides = 2 if number > 1 and block == 1 else 1
            features = _block(features, filters, strides, f"stage{number}_block{block}")
    features = layers.GlobalAveragePooling2D(name="pool")(features)
    features = layers.Dropout(0.2, name="dropout")(features)
    output = probability_layer(num_classes)(features)
    return keras.Model(image, output, name="resnet_groupnorm")


def _block(features: Any, filters: int, strides: int, name: str) -> Any:
    """Apply two convolutions and add the input to their output."""
    shortcut = features
    if strides > 1 or features.shape[-1] != filters:
        shortcut = layers.Conv2D(filters, 1, strides=strides, use_bias=False, name=f"{name}_shortcut")(
            features
        )
        shortcut = _norm(f"{name}_shortcut_norm")(shortcut)
    features = _convolution(filters, strides, f"{name}_conv1")(features)
    features = layers.Activation("relu", name=f"{name}_relu1")(_norm(f"{name}_norm1")(features))
    features = _norm(f"{name}_norm2")(_convolution(filters, 1, f"{name}_conv2")(features))
    features = layers.Add(name=f"{name}_add")([shortcut, features])
    return layers.Activation("relu", name=f"{name}_relu2")(features)


def _convolution(filters: int, strides: int, name: str) -> layers.Layer:
    return layers.Conv2D(
        filters,
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )


def _norm(name: str) -> layers.Layer:
    return layers.GroupNormalization(GROUPS, name=name)
