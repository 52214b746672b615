"""The fast network against the plain one: the same weights, outputs, gradients and moving statistics."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.architectures.building import Recipe, build
from helpers.architectures.fast_layers import FusedBatchNormalization, PackedDropout, PooledConv2D
from helpers.architectures.seed_cnn import build_seed_cnn
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.trainer import predict_scores, train_locally
from helpers.model_instance_helper import ModelInstance, initial_weights, keras_file, model_for

SEED = [1, 2, 3]


def instances(side: int, precision: str = "float32") -> tuple[ModelInstance, ModelInstance]:
    """Return the plain and the fast network with the same changed weights and the same dropout masks."""
    size = {"INPUT_SHAPE": (side, side)}
    plain, fast = (
        ModelInstance(build(Recipe.of(Config(**size, TRAIN_STEP=train_step, PRECISION=precision))))
        for train_step in ("plain", "fast")
    )
    generator = np.random.default_rng(0)
    weights = [
        array + generator.normal(0, 0.05, array.shape).astype(np.float32)
        for array in initial_weights(Config(**size))
    ]
    for instance in (plain, fast):
        instance.begin_training(weights, 0.01, SEED, {})
    return plain, fast


def step(
    instance: ModelInstance, images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the outputs in training and the gradients of the loss."""
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


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_in_half_precision_the_fast_step_is_as_near_to_float32_as_the_plain_one(precision: str) -> None:
    generator = np.random.default_rng(0)
    images = generator.random((16, 32, 32, 3), np.float32)
    labels = (np.arange(16) % 2).astype(np.float32).reshape(-1, 1)
    exact, plain, fast = instances(32)[0], *instances(32, precision)
    assert fast.model.get_layer("norm_1").compute_dtype == precision.removeprefix("mixed_")
    for instance in (exact, plain, fast):  # the masks of another precision would be others
        for layer in instance.model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
    reference, of_plain, of_fast = (step(one, images, labels)[1] for one in (exact, plain, fast))
    assert 0 < distance(of_plain, reference) < 0.2 * distance(reference)
    assert 0 < distance(of_fast, reference) < 1.25 * distance(of_plain, reference)
    for a, b in zip(fast.model.get_weights(), exact.model.get_weights(), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=0.02, atol=2e-3)  # the moving statistics


def distance(one: list[np.ndarray], other: list[np.ndarray] | None = None) -> float:
    """Return the Euclidean distance of two lists of arrays, or of one from 0."""
    pairs = zip(one, other or [np.zeros(1)] * len(one), strict=True)
    return float(np.sqrt(sum(((a - b).astype(np.float64) ** 2).sum() for a, b in pairs)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_packed_dropout_keeps_the_mean_and_draws_other_masks(dtype: str) -> None:
    layer = PackedDropout(0.2, seed=7, dtype=dtype)
    images = tf.ones((3, 101, 101, 5), dtype)  # an odd number of elements
    first, second = (layer(images, training=True).numpy().astype(np.float64) for _ in range(2))
    deviation = np.sqrt(0.2 * 0.8 / first.size)
    for outputs in (first, second):
        assert abs(np.mean(outputs == 0) - 0.2) < 4 * deviation
        np.testing.assert_allclose(outputs[outputs != 0], 1.25, rtol=0.005)
    both = np.mean((first == 0) & (second == 0))
    assert abs(both - 0.04) < 4 * np.sqrt(0.04 * 0.96 / first.size)  # independent of each other
    zeros = (first == 0).reshape(-1)
    assert abs(np.mean(zeros[::2][:-1] & zeros[1::2][: len(zeros[::2]) - 1]) - 0.04) < 0.005  # of one integer
    np.testing.assert_array_equal(layer(images, training=False), images)
    again = PackedDropout(0.2, seed=7, dtype=dtype)
    np.testing.assert_array_equal(again(images, training=True).numpy().astype(np.float64), first)


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


@pytest.mark.parametrize(("step", "is_fast"), [("plain", False), ("fast", True)])
def test_train_step_chooses_the_layers(step: str, is_fast: bool) -> None:
    layers = model_for(Config(INPUT_SHAPE=(16, 16), TRAIN_STEP=step)).model.layers
    assert [isinstance(layer, PooledConv2D) for layer in layers].count(True) == 2 * is_fast
    assert [isinstance(layer, FusedBatchNormalization) for layer in layers].count(True) == 3 * is_fast
    assert any(isinstance(layer, keras.layers.MaxPooling2D) for layer in layers) != is_fast


def trained(train_step: str, start: Weights) -> tuple[Weights, float]:
    """Return weights and loss after ten steps of SGD, with dropout.

    Small steps: at larger ones a last digit grows once it takes a number across ReLU's bend.
    """
    generator = np.random.default_rng(1)
    images = generator.random((20, 16, 16, 3), np.float32)
    labels = (np.arange(20) % 2).astype(np.float32).reshape(-1, 1)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4).repeat(2)
    instance = model_for(Config(INPUT_SHAPE=(16, 16), OPTIMIZER="sgd", TRAIN_STEP=train_step))
    update = train_locally(instance, start, batches, learning_rate=0.001, seed=SEED)
    return update.weights, update.loss


def test_a_training_ends_where_the_plain_one_does() -> None:
    start = initial_weights(Config(INPUT_SHAPE=(16, 16)))
    (plain, loss), (fast, fast_loss) = (trained(train_step, start) for train_step in ("plain", "fast"))
    assert fast_loss == pytest.approx(loss, rel=1e-5)
    for a, b, before in zip(fast, plain, start, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
        assert np.abs(b - before).max() > 2e-5


def test_what_the_fast_step_trained_is_saved_as_the_plain_network(tmp_path: Path) -> None:
    config = Config(INPUT_SHAPE=(16, 16), TRAIN_STEP="fast")
    weights = initial_weights(config)
    path = tmp_path / "best.keras"
    path.write_bytes(keras_file(config, weights))
    opened = keras.models.load_model(path)
    plain = build_seed_cnn((16, 16, 3))
    assert [type(layer) for layer in opened.layers] == [type(layer) for layer in plain.layers]
    images = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    model_for(config).model.set_weights(weights)
    scores = predict_scores(model_for(config), [images])
    np.testing.assert_allclose(opened.predict(images, verbose=0).reshape(-1), scores, rtol=1e-5)
