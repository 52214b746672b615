"""DP-SGD: local training with clipped gradients and noise (Abadi et al. 2016, "Deep Learning with
Differential Privacy", Algorithm 1).
"""

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from helpers.federated.noise import RandomBytes, gaussian_noise
from helpers.federated.weights import Weights
from helpers.local_training.trainer import NO_TERMS, LocalUpdate
from helpers.model_instance_helper import NO_STATE, ModelInstance

Unit = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Images (B, H, W, C) in [0, 1] and labels (B, 1) of one unit: an image, or images of one patient."""


@dataclass(frozen=True)
class Privacy:
    """What a step adds up and how much noise it gets.

    Attributes:
        clip_norm: C, the maximum Euclidean norm of a unit's gradient.
        noise_multiplier: σ; the noise on the sum has the standard deviation σ · C.
        expected_units: by which the sum is divided: units in a step on average.
        random_bytes: source of the noise; only tests use another one than the operating system.
    """

    clip_norm: float
    noise_multiplier: float
    expected_units: float
    random_bytes: RandomBytes = os.urandom


def train_privately(
    instance: ModelInstance,
    weights: Weights,
    steps: Iterable[Iterable[Unit]],
    *,
    privacy: Privacy,
    learning_rate: float,
    seed: list[int],
    gradient_terms: Mapping[str, NDArray[np.generic]] = NO_TERMS,
    optimizer_state: Weights = NO_STATE,
    go_on: Callable[[int], bool] = lambda num_batches: True,
) -> LocalUpdate:
    """Train from `weights`; only noisy sums of clipped gradients change them.

    Args:
        instance, weights, learning_rate, seed, gradient_terms, optimizer_state, go_on: as in `train_locally`.
        steps: for every step, the units that were drawn for it; there may be none. Memory is needed for the
            gradient of one unit at a time, and for the sum.
        privacy: norm and noise.

    Returns:
        The update, without a loss: the loss of the training images would reveal something about them.
    """
    instance.begin_training(weights, learning_rate, seed, gradient_terms, optimizer_state)
    step = _clipped_sum(instance, privacy.clip_norm)
    step.reset()  # an earlier training may have failed half-way
    num_steps = 0
    for num_steps, units in enumerate(steps, 1):
        for images, labels in units:
            step.add(tf.constant(images), tf.constant(labels))
        noise = [_noise(shape, privacy) for shape in step.shapes]
        step.apply(noise, tf.constant(privacy.expected_units, tf.float32))
        if not go_on(num_steps):
            break
    trained = instance.trained_weights()
    # What gradients do not change stays as it was, so that no layer can keep what it saw of the images.
    kept = zip(weights, trained, instance.trainable, strict=True)
    return LocalUpdate([new if is_trained else old for old, new, is_trained in kept], num_steps, None)


def _noise(shape: tuple[int, ...], privacy: Privacy) -> Any:
    noise = gaussian_noise(int(np.prod(shape)), privacy.random_bytes)
    noise *= privacy.noise_multiplier * privacy.clip_norm
    return tf.constant(noise.reshape(shape))


class ClippedSum:
    """Sum of the clipped gradients of a step, and the step itself; traced once for a model.

    The norm is computed in float32, off by less than 1e-15 where squares are too small for it.

    Args:
        instance: the model with its optimizer.
        clip_norm: C.
    """

    def __init__(self, instance: ModelInstance, clip_norm: float) -> None:
        self._model = instance.model
        self._variables = instance.model.trainable_variables
        self._clip_norm = clip_norm
        self.shapes = [tuple(variable.shape) for variable in self._variables]
        self._sums = [tf.Variable(tf.zeros(shape), trainable=False) for shape in self.shapes]

    def reset(self) -> None:
        """Begin a new sum."""
        for total in self._sums:
            total.assign(tf.zeros(total.shape))

    @tf.function(reduce_retracing=True)
    def add(self, images: Any, labels: Any) -> None:
        """Add the gradient of the mean loss of a unit, shortened to the norm C; none if it is not finite."""
        with tf.GradientTape() as tape:
            loss = self._model.compute_loss(images, labels, self._model(images, training=True))
        gradients = tape.gradient(loss, [variable.value for variable in self._variables])
        norm = tf.linalg.global_norm(gradients)
        scale = tf.where(tf.math.is_finite(norm), tf.minimum(1.0, self._clip_norm / norm), 0.0)
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(tf.math.multiply_no_nan(gradient, scale))

    @tf.function
    def apply(self, noise: list[Any], expected_units: Any) -> None:
        """Step along the noisy sum, divided by `expected_units`, and begin a new sum."""
        gradients = [(total + added) / expected_units for total, added in zip(self._sums, noise, strict=True)]
        self._model.optimizer.apply(gradients, self._variables)
        for total in self._sums:
            total.assign(tf.zeros(total.shape))


_clipped_sum = functools.lru_cache(maxsize=2)(ClippedSum)
