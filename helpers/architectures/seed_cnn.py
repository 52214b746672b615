"""Network of the original README, and the same with group normalization."""

from collections.abc import Callable

import keras
from keras import layers

from helpers.architectures.fast_layers import FusedBatchNormalization, PackedDropout, PooledConv2D
from helpers.architectures.head import probability_layer

GROUPS = 8


def build_seed_cnn(
    input_shape: tuple[int, int, int], num_classes: int = 2, *, fast: bool = False
) -> keras.Model:
    """Build the CNN, uncompiled: 1,809,985 parameters at (128, 128, 3) with two classes.

    Layers are named so that every process gives the weights the same names.

    Args:
        input_shape: height, width, channels; height and width at least 15. Inputs are float32 in [0, 1].
        num_classes: at least 2.
        fast: use layers that train faster on a CPU; weights, names and order are the same.

    Returns:
        A model that ends in `probability_layer`.
    """
    normalization = FusedBatchNormalization if fast else layers.BatchNormalization
    return _seed_cnn("seed_cnn", input_shape, num_classes, lambda name: normalization(name=name), fast)


def build_seed_cnn_groupnorm(input_shape: tuple[int, int, int], num_classes: int = 2) -> keras.Model:
    """Build the same CNN with group normalization (Wu and He 2018), which has no statistics to average."""
    return _seed_cnn(
        "seed_cnn_groupnorm",
        input_shape,
        num_classes,
        lambda name: layers.GroupNormalization(GROUPS, name=name),
    )


def _seed_cnn(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    normalization: Callable[[str], layers.Layer],
    fast: bool = False,
) -> keras.Model:
    dropout = PackedDropout if fast else layers.Dropout
    return keras.Sequential(
        [
            layers.Input(input_shape, name="image"),
            # Feature extraction
            *_conv_and_pool(128, "1", fast),
            normalization("norm_1"),
            dropout(0.2, name="dropout_1"),
            *_conv_and_pool(64, "2", fast),
            normalization("norm_2"),
            dropout(0.1, name="dropout_2"),
            layers.Conv2D(32, kernel_size=(2, 2), activation="relu", name="conv_3"),
            normalization("norm_3"),
            # Classification
            layers.Flatten(name="flatten"),
            layers.Dense(64, activation="relu", name="dense_1"),
            dropout(0.1, name="dropout_3"),
            layers.Dense(16, activation="relu", name="dense_2"),
            probability_layer(num_classes),
        ],
        name=name,
    )


def _conv_and_pool(filters: int, number: str, fast: bool) -> list[layers.Layer]:
    convolution = PooledConv2D if fast else layers.Conv2D
    first = convolution(filters, kernel_size=3, activation="relu", name=f"conv_{number}")
    return [first] if fast else [first, layers.MaxPooling2D((2, 2), name=f"pool_{number}")]
