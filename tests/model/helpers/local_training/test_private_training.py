"""DP-SGD: laws of clipping and noise on a model that can be checked by hand."""

from collections.abc import Iterable

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.architectures.seed_cnn import build_seed_cnn, build_seed_cnn_groupnorm
from helpers.federated.weights import Weights
from helpers.local_training.client_optimizer import client_optimizer
from helpers.local_training.private_training import Privacy, Unit, train_privately
from helpers.local_training.trainer import train_locally
from helpers.model_instance_helper import ModelInstance

GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.normal(size=(12, 3)).astype(np.float32)
CLASSES = (POINTS @ np.array([1, -2, 0.5], np.float32) > 0).astype(np.float32).reshape(-1, 1)
W0 = np.array([[0.3], [-0.1], [0.2]], np.float32)
NO_NOISE, NO_CLIPPING, RATE = 0.0, 1e6, 0.5


def logistic_model() -> ModelInstance:
    """p = sigmoid(x · w), without a bias, trained by plain SGD."""
    layers = [keras.layers.Input((3,)), keras.layers.Dense(1, "sigmoid", use_bias=False)]
    return ModelInstance(keras.Sequential(layers), client_optimizer("sgd"))


def singles(rows: Iterable[int]) -> list[Unit]:
    """Return units of one point each."""
    return [(POINTS[[row]], CLASSES[[row]]) for row in rows]


def gradient_of(rows: list[int], w: np.ndarray) -> np.ndarray:
    """Mean gradient of points, float64."""
    points = POINTS[rows].astype(np.float64)
    return points.T @ (1 / (1 + np.exp(-points @ w)) - CLASSES[rows]) / len(rows)


def trained(
    steps: list[list[Unit]], clip: float, noise: float, units: float, seed: int = 0, w: np.ndarray = W0
) -> np.ndarray:
    privacy = Privacy(clip, noise, units, np.random.default_rng(seed).bytes)
    update = train_privately(logistic_model(), [w], steps, privacy=privacy, learning_rate=RATE, seed=[0])
    assert (update.num_batches, update.loss) == (len(steps), None)
    return update.weights[0]


def test_without_clipping_and_noise_it_is_plain_training() -> None:
    steps = [singles(range(start, start + 4)) for start in (0, 4, 8)]
    batches = tf.data.Dataset.from_tensor_slices((POINTS, CLASSES)).batch(4)
    plain = train_locally(logistic_model(), [W0], batches, learning_rate=RATE, seed=[0])
    np.testing.assert_allclose(trained(steps, NO_CLIPPING, NO_NOISE, 4.0), plain.weights[0], atol=1e-6)


def test_each_unit_is_clipped_by_itself() -> None:
    clip, rows = 0.5, [0, 1, 2, 3]
    gradients = [gradient_of([row], W0) for row in rows]
    norms = [np.linalg.norm(gradient) for gradient in gradients]
    assert min(norms) < clip < max(norms)
    total = sum(gradient * min(1, clip / norm) for gradient, norm in zip(gradients, norms, strict=True))
    np.testing.assert_allclose(
        trained([singles(rows)], clip, NO_NOISE, 4.0), W0 - RATE * total / 4, atol=1e-6
    )


def test_the_points_of_a_patient_are_clipped_together() -> None:
    clip, rows = 0.05, [0, 1, 2]
    gradient = gradient_of(rows, W0)
    expected = W0 - RATE * gradient * clip / np.linalg.norm(gradient)
    patient = (POINTS[rows], CLASSES[rows])
    np.testing.assert_allclose(trained([[patient]], clip, NO_NOISE, 1.0), expected, atol=1e-6)


def test_a_unit_moves_the_sum_by_the_norm_at_most_whatever_it_contains() -> None:
    hostile: list[Unit] = [
        (np.full((1, 3), value, np.float32), np.zeros((1, 1), np.float32))
        for value in (1e30, np.inf, np.nan, -np.inf)
    ]
    usual = singles([0, 1])
    before = trained([usual], 0.1, NO_NOISE, 1.0)
    for unit in hostile:
        assert np.linalg.norm(trained([[*usual, unit]], 0.1, NO_NOISE, 1.0) - before) <= RATE * 0.1 + 1e-6


def test_a_step_without_a_unit_is_noise_of_the_right_size() -> None:
    steps: list[list[Unit]] = [[] for _ in range(500)]
    moved = (trained(steps, 0.5, 2.0, 4.0, w=np.zeros_like(W0)) / RATE) / np.sqrt(500)
    assert np.abs(moved).max() < 4 * 2.0 * 0.5 / 4
    many = np.concatenate([trained([[]], 0.5, 2.0, 4.0, seed) - W0 for seed in range(60)]) / RATE
    assert many.std() == pytest.approx(2.0 * 0.5 / 4, rel=0.15)


def test_only_a_given_source_repeats_the_noise() -> None:
    steps = [singles([0, 1])]
    np.testing.assert_array_equal(trained(steps, 1.0, 1.0, 2.0), trained(steps, 1.0, 1.0, 2.0))
    privacy = Privacy(1.0, 1.0, 2.0)
    first, second = (
        train_privately(logistic_model(), [W0], steps, privacy=privacy, learning_rate=RATE, seed=[0])
        for _ in range(2)
    )
    assert not np.array_equal(first.weights[0], second.weights[0])


def test_it_stops_on_request_and_counts_its_steps() -> None:
    steps = [singles([0]) for _ in range(5)]
    update = train_privately(
        logistic_model(), [W0], steps, privacy=Privacy(1.0, 1.0, 1.0), learning_rate=RATE, seed=[0],
        go_on=lambda number: number < 2,
    )  # fmt: skip
    assert update.num_batches == 2


def image_model(network: str) -> tuple[ModelInstance, Weights]:
    build = {"batch": build_seed_cnn, "group": build_seed_cnn_groupnorm}[network]
    instance = ModelInstance(build((16, 16, 3)), client_optimizer("adam"))
    return instance, instance.model.get_weights()


def test_a_network_of_images_trains_and_keeps_finite_numbers() -> None:
    instance, weights = image_model("group")
    images = GENERATOR.random((6, 16, 16, 3)).astype(np.float32)
    units = [(images[[row]], np.full((1, 1), row % 2, np.float32)) for row in range(6)]
    update = train_privately(
        instance,
        weights,
        [units[:3], units[3:]],
        privacy=Privacy(1.0, 1.0, 3.0),
        learning_rate=0.01,
        seed=[1],
    )
    moved = [not np.array_equal(new, old) for new, old in zip(update.weights, weights, strict=True)]
    assert moved == list(instance.trainable)
    assert all(np.isfinite(array).all() for array in update.weights)


def test_what_gradients_do_not_change_stays_as_it_was() -> None:
    layers = [
        keras.layers.Input((3,)), keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dense(1, "sigmoid", use_bias=False),
    ]  # fmt: skip
    model = keras.Sequential(layers)
    model.get_layer("norm").trainable = False
    instance = ModelInstance(model, client_optimizer("sgd"))
    weights = [array + 0.5 for array in model.get_weights()]
    update = train_privately(
        instance, weights, [singles([0, 1])], privacy=Privacy(1.0, 1.0, 2.0), learning_rate=RATE, seed=[0]
    )
    is_same = [np.array_equal(new, old) for new, old in zip(update.weights, weights, strict=True)]
    assert is_same == [not is_trained for is_trained in instance.trainable]
