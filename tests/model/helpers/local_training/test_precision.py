"""Training in another precision than float32: what is float32 all the same, and the scale of the loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.client_optimizer import client_optimizer
from helpers.local_training.trainer import predict_scores, train_locally
from helpers.model_instance_helper import ModelInstance, initial_weights, keras_file, model_for

NETWORK = {"ARCHITECTURE": "seed_cnn_groupnorm", "INPUT_SHAPE": (16, 16)}
IMAGES = np.random.default_rng(0).random((8, 16, 16, 3), np.float32)
LABELS = (np.arange(8) % 2).astype(np.float32).reshape(-1, 1)
POINTS = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
CLASSES = (POINTS @ np.array([1, -2, 0.5], np.float32) > 0).astype(np.float32).reshape(-1, 1)
W0 = np.array([[0.3], [-0.1], [0.2]], np.float32)
LARGEST_SCALE = 2.0**15


def one_round(instance: ModelInstance, weights: Weights, seed: int) -> Weights:
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4)
    return train_locally(instance, weights, batches, learning_rate=0.01, seed=[seed]).weights


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_weights_are_float32_and_a_used_model_trains_like_a_new_one(precision: str, tmp_path) -> None:
    config = Config(**NETWORK, PRECISION=precision)
    instance = model_for(config)
    assert keras.config.dtype_policy().name == "float32"
    assert instance.model.get_layer("conv_1").compute_dtype == precision.removeprefix("mixed_")
    assert instance.model.get_layer("probability").compute_dtype == "float32"
    for name in ("schema", "optimizer_schema"):  # those of the aggregation
        assert getattr(instance, name) == getattr(model_for(Config(**NETWORK)), name)
    start = initial_weights(config)
    plain = one_round(model_for(Config(**NETWORK)), start, 1)
    first = one_round(instance, start, 1)
    one_round(instance, first, 2)
    for a, b, c in zip(first, one_round(instance, start, 1), plain, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() < 0.05  # two steps of 0.01, of Adam
    assert any((a != b).any() for a, b in zip(first, plain, strict=True))
    file = tmp_path / "model.keras"
    file.write_bytes(keras_file(config, first))
    opened = keras.models.load_model(file)
    assert {layer.compute_dtype for layer in opened.layers} == {"float32"}


def test_probabilities_of_several_classes_are_float32() -> None:
    classes = ("a", "b", "c")
    plain, mixed = (
        Config(**NETWORK, PRECISION=precision, CLASS_NAMES=classes)
        for precision in ("float32", "mixed_bfloat16")
    )
    instance, start = model_for(mixed), initial_weights(mixed)
    assert instance.schema == model_for(plain).schema
    for a, b in zip(one_round(instance, start, 1), one_round(model_for(plain), start, 1), strict=True):
        assert np.abs(a - b).max() < 0.05  # two steps of 0.01, of Adam
    scores = predict_scores(instance, [IMAGES])
    assert scores.shape == (8, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=0, atol=1e-6)  # bfloat16: 1e-2


def half_model(initial_scale: float, **terms: float) -> ModelInstance:
    """p = sigmoid(x · w) by plain SGD, computed in float16."""
    layers = [
        keras.layers.Input((3,)),
        keras.layers.Dense(1, use_bias=False, dtype="mixed_float16"),
        keras.layers.Activation("sigmoid", dtype="float32"),
    ]
    scaled = keras.optimizers.LossScaleOptimizer(client_optimizer("sgd", **terms), initial_scale)
    return ModelInstance(keras.Sequential(layers), scaled)


def steps(instance: ModelInstance, points: np.ndarray = POINTS) -> np.ndarray:
    batches = tf.data.Dataset.from_tensor_slices((points, CLASSES)).batch(4)
    (weights,) = train_locally(instance, [W0], batches, learning_rate=0.5, seed=[0]).weights
    return weights


@pytest.mark.parametrize("mu", [0.0, 1.5])
def test_the_proximal_term_is_added_to_gradients_without_their_scale(mu: float) -> None:
    w = W0.astype(np.float64)
    for start in (0, 4, 8):
        points, classes = POINTS[start : start + 4].astype(np.float64), CLASSES[start : start + 4]
        gradient = points.T @ (1 / (1 + np.exp(-points @ w)) - classes) / 4
        w = w - 0.5 * (gradient + mu * (w - W0))
    instance = half_model(1024.0, proximal_mu=mu)
    steps(instance)
    np.testing.assert_allclose(steps(instance), w, rtol=0, atol=5e-3)
    assert abs(w - W0).max() > 0.1


def test_every_round_begins_with_the_same_scale_and_leaves_out_what_overflows() -> None:
    instance = half_model(2.0**30)  # times any gradient more than float16 holds
    np.testing.assert_array_equal(steps(instance), W0)
    optimizer = instance.model.optimizer
    assert float(optimizer.dynamic_scale) == 2.0**27  # halved by each of three steps
    instance.begin_training([W0], 0.5, [0], {})
    assert float(optimizer.dynamic_scale) == 2.0**30
    assert float(optimizer.inner_optimizer.learning_rate) == 0.5
    assert int(optimizer.inner_optimizer.iterations) == 0


def test_keras_scales_the_loss_of_float16_alone() -> None:
    kinds = {
        precision: type(model_for(Config(**NETWORK, PRECISION=precision)).model.optimizer).__name__
        for precision in ("float32", "mixed_bfloat16", "mixed_float16")
    }
    assert kinds == {"float32": "Adam", "mixed_bfloat16": "Adam", "mixed_float16": "LossScaleOptimizer"}
    assert float(model_for(Config(**NETWORK, PRECISION="mixed_float16")).model.optimizer.initial_scale) == (
        LARGEST_SCALE
    )


@pytest.mark.parametrize("xla", [False, True])
def test_xla_compiles_only_when_asked(xla: bool) -> None:
    assert model_for(Config(**NETWORK, XLA=xla)).model.jit_compile is xla
