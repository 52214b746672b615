"""Moving statistics of a round: averages over its steps, whatever they were before."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.architectures.fast_layers import FusedBatchNormalization
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.client_optimizer import client_optimizer
from helpers.local_training.trainer import train_locally
from helpers.model_instance_helper import ModelInstance, initial_weights, model_for

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(2, 3, size=(12, 4, 4, 2)).astype(np.float32)
LABELS = (np.arange(12) % 2).astype(np.float32).reshape(-1, 1)
AXES = (1, 2, 3)
MEANS = IMAGES.reshape(3, 4, 4, 4, 2).astype(np.float64).mean(axis=AXES)
VARIANCES = IMAGES.reshape(3, 4, 4, 4, 2).astype(np.float64).var(axis=AXES)
"""Of the three batches, (3, channels)."""


def normalizing_model(layer: keras.layers.Layer, momentum: float, xla: bool = False) -> ModelInstance:
    """Batch normalization of the images themselves, then one unit."""
    layers = [keras.layers.Input((4, 4, 2)), layer, keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
    optimizer = client_optimizer("sgd")
    return ModelInstance(keras.Sequential(layers), optimizer, xla=xla, round_momentum=momentum)


def one_round(instance: ModelInstance, statistics: float, go_on: Callable[[int], bool] | None = None) -> Any:
    """Train three steps from moving means and variances that are all `statistics`."""
    start = [np.ones(2), np.zeros(2), *[np.full(2, statistics)] * 2, np.zeros((32, 1)), np.zeros(1)]
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4)
    options = {"go_on": go_on} if go_on else {}
    return train_locally(instance, start, batches, learning_rate=0.1, seed=[0], **options).weights[2:4]


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("kind", [keras.layers.BatchNormalization, FusedBatchNormalization])
def test_they_are_the_mean_over_the_steps_of_each_round(kind: type[keras.layers.Layer], xla: bool) -> None:
    instance = normalizing_model(kind(), 0.99, xla)
    for earlier in (0.0, 1e6):  # two rounds, the second far from any image
        mean, variance = one_round(instance, earlier)
        np.testing.assert_allclose(mean, MEANS.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(variance, VARIANCES.mean(axis=0), rtol=1e-5)


def test_after_many_steps_the_momentum_decides() -> None:
    mean, variance = one_round(normalizing_model(keras.layers.BatchNormalization(), 0.4), 1e6)
    for result, steps in ((mean, MEANS), (variance, VARIANCES)):  # shares kept: 0, then 0.4 twice
        expected = 0.4 * (0.4 * steps[0] + 0.6 * steps[1]) + 0.6 * steps[2]
        np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_a_round_that_ends_early_has_those_of_its_steps() -> None:
    instance = normalizing_model(keras.layers.BatchNormalization(), 0.99)
    mean, _ = one_round(instance, 1e6, lambda num_batches: num_batches < 2)
    np.testing.assert_allclose(mean, MEANS[:2].mean(axis=0), rtol=1e-5)


def train(config: Config, weights: Weights) -> Weights:
    images = np.random.default_rng(1).random((12, 16, 16, 3), np.float32)
    batches = tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(4)
    return train_locally(model_for(config), weights, batches, learning_rate=0.01, seed=[1]).weights


@pytest.mark.parametrize("settings", [{}, {"TRAIN_STEP": "fast"}, {"PRECISION": "mixed_float16"}])
def test_they_change_nothing_that_is_trained_and_depend_on_no_earlier_round(settings: dict[str, Any]) -> None:
    config = Config(INPUT_SHAPE=(16, 16), **settings)
    of_round = config.model_copy(update={"BATCH_NORM_STATISTICS": "round"})
    start = initial_weights(of_round)
    moving, first = train(config, start), train(of_round, start)
    train(of_round, first)
    again = train(of_round, start)
    for a, b, c, is_trained in zip(moving, first, again, model_for(config).trainable, strict=True):
        np.testing.assert_array_equal(b, c)
        if is_trained:
            np.testing.assert_array_equal(a, b)
        else:
            assert (a != b).any()
