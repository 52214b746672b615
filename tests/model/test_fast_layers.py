"""The fast network against the plain one: the same weights, outputs, gradients and moving statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.architectures.seed_cnn import build_seed_cnn
from helpers.model_instance_helper import ModelInstance

SEED = [1, 2, 3]


def instances(side: int) -> tuple[ModelInstance, ModelInstance]:
    """Plain and fast, with the same weights, none of them where it began, and the same dropout masks."""
    plain, fast = (ModelInstance(build_seed_cnn((side, side, 3), fast=fast)) for fast in (False, True))
    generator = np.random.default_rng(0)
    noise = [generator.normal(0, 0.05, array.shape) for array in plain.model.get_weights()]
    weights = [
        array + some.astype(np.float32) for array, some in zip(plain.model.get_weights(), noise, strict=True)
    ]
    for instance in (plain, fast):
        instance.begin_training(weights, 0.01, SEED, {})
    return plain, fast


def step(
    instance: ModelInstance, images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Outputs in training, and the gradients of the loss."""
    with tf.GradientTape() as tape:
        outputs = instance.model(images, training=True)
        loss = tf.reduce_mean(keras.losses.binary_crossentropy(labels, outputs))
    gradients = tape.gradient(loss, [variable.value for variable in instance.model.trainable_variables])
    return outputs.numpy(), [gradient.numpy() for gradient in gradients]


@pytest.mark.parametrize("side", [16, 19])  # 19: a row and a column are left over when pooling
@pytest.mark.parametrize("count", [2, 5])
def test_a_step_is_the_same_within_float_tolerance(side: int, count: int) -> None:
    generator = np.random.default_rng(count)
    images = generator.random((count, side, side, 3), np.float32)
    labels = (np.arange(count) % 2).astype(np.float32).reshape(-1, 1)
    plain, fast = instances(side)
    assert fast.schema == plain.schema
    (outputs, gradients), (fast_outputs, fast_gradients) = (
        step(one, images, labels) for one in (plain, fast)
    )
    np.testing.assert_allclose(fast_outputs, outputs, rtol=1e-4, atol=1e-5)
    for variable, a, b in zip(plain.model.trainable_variables, fast_gradients, gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6 + 1e-4 * np.abs(b).max(), err_msg=variable.path)
    for a, b in zip(
        fast.model.get_weights(), plain.model.get_weights(), strict=True
    ):  # the moving statistics
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        fast.model.predict(images, verbose=0), plain.model.predict(images, verbose=0), rtol=1e-4, atol=1e-6
    )


def test_the_moving_statistics_do_move() -> None:
    _, fast = instances(16)
    before = fast.model.get_weights()
    step(fast, np.random.default_rng(0).random((4, 16, 16, 3), np.float32), np.ones((4, 1), np.float32))
    changed = {
        name.rpartition("/")[2]
        for name, a, b in zip(fast.names, before, fast.model.get_weights(), strict=True)
        if (a != b).any()
    }
    assert changed == {"moving_mean", "moving_variance"}
