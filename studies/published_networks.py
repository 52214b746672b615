"""The networks of two publications, for ARCHITECTURE=studies.published_networks:NAME."""

import keras
from keras import layers

Shape = tuple[int, int, int]


def niid_cnn(input_shape: Shape, num_classes: int = 2) -> keras.Model:
    """Build the CNN of NIID-Bench (Li et al. 2022): two convolutions of 5×5, three dense layers."""
    return keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(6, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(num_classes, activation="softmax", dtype="float32"),
        ]
    )


def fedavg_cnn(input_shape: Shape, num_classes: int = 2) -> keras.Model:
    """Build the CNN of McMahan et al. 2017: 1,663,370 parameters for gray images of 28×28 and 10 classes."""
    return keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dense(num_classes, activation="softmax", dtype="float32"),
        ]
    )
