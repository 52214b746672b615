"""The network of the original README."""

import keras
from keras import layers


def build_seed_cnn(input_shape: tuple[int, int, int]) -> keras.Model:
    """Build the CNN, uncompiled: 1,809,985 parameters at (128, 128, 3).

    Layers are named so that every process gives the weights the same names.

    Args:
        input_shape: height, width, channels; height and width at least 15. Inputs are float32 in [0, 1].

    Returns:
        A model with one sigmoid output, shape (N, 1): the probability of class 1.
    """
    return keras.Sequential(
        [
            layers.Input(input_shape, name="image"),
            # Feature extraction
            layers.Conv2D(128, kernel_size=3, activation="relu", name="conv_1"),
            layers.MaxPooling2D((2, 2), name="pool_1"),
            layers.BatchNormalization(name="norm_1"),
            layers.Dropout(0.2, name="dropout_1"),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu", name="conv_2"),
            layers.MaxPooling2D((2, 2), name="pool_2"),
            layers.BatchNormalization(name="norm_2"),
            layers.Dropout(0.1, name="dropout_2"),
            layers.Conv2D(32, kernel_size=(2, 2), activation="relu", name="conv_3"),
            layers.BatchNormalization(name="norm_3"),
            # Classification
            layers.Flatten(name="flatten"),
            layers.Dense(64, activation="relu", name="dense_1"),
            layers.Dropout(0.1, name="dropout_3"),
            layers.Dense(16, activation="relu", name="dense_2"),
            layers.Dense(1, activation="sigmoid", name="probability"),
        ],
        name="seed_cnn",
    )
