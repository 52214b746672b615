"""Every network: names, sizes, what training changes, saving, averaging."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

from helpers.architectures import ARCHITECTURES
from helpers.architectures.building import Recipe, build, names_of
from helpers.architectures.pretrained import APPLICATIONS, body_of, load_weights
from helpers.explaining.grad_cam import grad_cam
from helpers.federated.aggregation import weighted_mean
from helpers.federated.compression import compress, decompress
from helpers.federated.weights import Weights, check_weights
from helpers.global_config import Config
from helpers.local_training.trainer import train_locally
from helpers.model_instance_helper import ModelInstance, initial_weights, keras_file, model_for
from helpers.settings.errors import ConfigError

SMALL = ("seed_cnn", "seed_cnn_groupnorm", "resnet_groupnorm")
NUM_PARAMETERS = {  # at 32x32x3
    "seed_cnn": 138_817,
    "seed_cnn_groupnorm": 138_369,
    "resnet_groupnorm": 695_457,
    "efficientnet_lite0": 3_414_305,
    "mobilenet_v3_small": 939_697,
    "mobilenet_v3_large": 2_997_313,
    "efficientnet_v2_b0": 5_920_593,
}
GENERATOR = np.random.default_rng(0)
LABELS = (np.arange(6) % 2).astype(np.float32).reshape(-1, 1)


def recipe(name: str, side: int = 32, channels: int = 3, **settings: object) -> Recipe:
    return Recipe.of(Config(ARCHITECTURE=name, INPUT_SHAPE=(side, side), INPUT_DIM=channels, **settings))


def config_of(name: str, **settings: object) -> Config:
    return Config(**{"ARCHITECTURE": name, "INPUT_SHAPE": (32, 32), "INPUT_DIM": 1} | settings)


def images_for(instance: ModelInstance, count: int = 6) -> np.ndarray:
    return np.random.default_rng(count).random((count, *instance.model.input_shape[1:]), np.float32)


def train(instance: ModelInstance, weights: Weights, batch_size: int = 6) -> Weights:
    batches = tf.data.Dataset.from_tensor_slices((images_for(instance), LABELS)).batch(batch_size)
    return train_locally(instance, weights, batches, learning_rate=0.01, seed=[1]).weights


def changed(instance: ModelInstance, before: Weights, after: Weights) -> set[str]:
    return {
        name for name, a, b in zip(instance.names, before, after, strict=True) if not np.array_equal(a, b)
    }


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_second_model_has_the_same_names_and_is_as_large_as_documented(name: str) -> None:
    first, second = (build(recipe(name)) for _ in range(2))
    assert names_of(first) == names_of(second)
    assert len(set(names_of(first))) == len(first.get_weights())
    assert not any(part in path for path in names_of(first) for part in ("sequential", "functional"))
    assert first.count_params() == NUM_PARAMETERS[name]
    assert {variable.dtype for variable in first.weights} == {"float32"}
    assert first.output_shape == (None, 1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_several_classes_change_the_last_layer_alone(name: str) -> None:
    two, three = (build(recipe(name, CLASS_NAMES=names)) for names in ((), ("a", "b", "c")))
    assert names_of(three) == names_of(two)
    (*body, kernel, bias), (*same, wide, long) = (
        [array.shape for array in model.get_weights()] for model in (two, three)
    )
    assert same == body
    assert (kernel, bias, wide, long) == ((kernel[0], 1), (1,), (kernel[0], 3), (3,))
    assert three.output_shape == (None, 3)
    assert three.layers[-1].activation is keras.activations.softmax
    assert three.layers[-1].compute_dtype == "float32"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_the_registry_says_is_so(name: str) -> None:
    architecture = ARCHITECTURES[name]
    model = build(recipe(name, architecture.least_side, 1))
    assert model.input_shape == (None, architecture.least_side, architecture.least_side, 1)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert bool(norms) is architecture.has_batch_norm
    with pytest.raises(ConfigError, match=f"^INPUT_SHAPE: received .*ARCHITECTURE={name} needs at least"):
        recipe(name, architecture.least_side - 1)


@pytest.mark.parametrize("name", SMALL)
def test_a_step_changes_what_is_trained_and_the_moving_statistics_alone(name: str) -> None:
    instance = model_for(config_of(name))
    before = initial_weights(config_of(name))
    after = train(instance, before)
    touched = changed(instance, before, after)
    trained = {name for name, trains in zip(instance.names, instance.trainable, strict=True) if trains}
    moving = set(instance.names) - trained
    assert touched >= moving
    assert all("moving_" in name for name in moving)
    # Of a ReLU that is off for six images nothing is trained: not every array has to move.
    assert len(touched & trained) > 0.9 * len(trained)


@pytest.mark.parametrize("name", ["seed_cnn_groupnorm", "resnet_groupnorm", "mobilenet_v3_small"])
def test_updates_are_averaged_compressed_and_saved(name: str, tmp_path) -> None:
    config = config_of(name)
    instance, start = model_for(config), initial_weights(config)
    check_weights(start, instance.schema)
    updates = [[array + np.float32(0.001) * factor for array in start] for factor in (1, 5)]
    mean = weighted_mean([(updates[0], 1.0), (updates[1], 3.0)])
    check_weights(mean, instance.schema)
    for before, after in zip(start, mean, strict=True):
        np.testing.assert_allclose(after, before + np.float32(0.004), rtol=0, atol=1e-6)
    payload, _ = compress("float16", instance.schema, mean, start, [])
    for a, b in zip(decompress("float16", instance.schema, payload, start), mean, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    file = tmp_path / "model.keras"
    file.write_bytes(keras_file(config, mean))
    opened = keras.models.load_model(file)
    instance.model.set_weights(mean)
    images = images_for(instance)
    np.testing.assert_array_equal(opened(images), instance.model(images))
    assert grad_cam(opened, images).shape == (6, 32, 32)


def test_group_norm_has_no_statistics_and_an_image_does_not_look_at_its_neighbors() -> None:
    for name in ("seed_cnn_groupnorm", "resnet_groupnorm"):
        instance = model_for(config_of(name))
        assert all(instance.trainable)
        images = images_for(instance)
        together, alone = instance.model(images), instance.model(images[:1])
        np.testing.assert_allclose(together[:1], alone, rtol=0, atol=1e-5)


def test_a_frozen_body_stays_as_it_is_and_averages_do_not_move(tmp_path) -> None:
    config = config_of(
        "mobilenet_v3_small", TRAIN_BODY=False, PRETRAINED="body.weights.h5", PRETRAINED_DIR=tmp_path
    )
    body = keras.applications.MobileNetV3Small((32, 32, 3), include_top=False, weights=None)
    body.save_weights(tmp_path / "body.weights.h5")
    instance, start = model_for(config), initial_weights(config)
    trained = {name for name, trains in zip(instance.names, instance.trainable, strict=True) if trains}
    assert trained == {"probability/kernel", "probability/bias"}
    # What the body was trained on were values from 0 to 255.
    images = images_for(instance, 2)
    maps = body(np.repeat(images * 255, 3, axis=-1)).numpy().mean((1, 2))
    kernel, bias = start[-2:]
    instance.model.set_weights(start)
    expected = 1 / (1 + np.exp(-(maps @ kernel + bias))).reshape(-1)
    np.testing.assert_allclose(instance.model(images)[:, 0], expected, rtol=1e-4, atol=1e-5)
    # In training it does what it does in use, but for the dropout of the head.
    instance.model.get_layer("dropout").rate = 0.0
    try:
        np.testing.assert_allclose(
            instance.model(images, training=True)[:, 0], expected, rtol=1e-4, atol=1e-5
        )
    finally:
        instance.model.get_layer("dropout").rate = 0.2
    assert not changed(instance, start, instance.model.get_weights())
    assert instance.schema == model_for(config_of("mobilenet_v3_small")).schema
    (tmp_path / "frozen.keras").write_bytes(keras_file(config, start))
    assert keras.models.load_model(tmp_path / "frozen.keras").count_params() > 900_000


def test_bodies_take_the_files_that_keras_applications_has(tmp_path) -> None:
    """Their older format distinguishes layers by order alone."""
    name = "efficientnet_v2_b0"
    application = APPLICATIONS[name](input_shape=(32, 32, 3), include_top=False, weights=None)
    with h5py.File(tmp_path / "notop.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, application)
    model = build(recipe(name, channels=1))
    load_weights(model, "notop.h5", tmp_path, name)
    body = body_of(model)
    assert names_of(body) == names_of(application)
    for a, b in zip(body.get_weights(), application.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_can_begin_with_the_model_of_another(tmp_path) -> None:
    config = config_of("resnet_groupnorm", SEED=7)
    weights = initial_weights(config)
    (tmp_path / "best.keras").write_bytes(keras_file(config, weights))
    other = config_of("resnet_groupnorm", PRETRAINED="best.keras", PRETRAINED_DIR=tmp_path)
    for a, b in zip(initial_weights(other), weights, strict=True):
        np.testing.assert_array_equal(a, b)
    wrong = config_of("seed_cnn", PRETRAINED="best.keras", PRETRAINED_DIR=tmp_path)
    with pytest.raises(
        ConfigError, match=r"^PRETRAINED: .*best\.keras does not hold weights of seed_cnn for images"
    ):
        initial_weights(wrong)
    of_more = other.model_copy(update={"CLASS_NAMES": ("a", "b", "c")})
    with pytest.raises(ConfigError, match=r"^PRETRAINED: .*best\.keras does not hold weights of resnet"):
        initial_weights(of_more)
    absent = config_of("seed_cnn", PRETRAINED="other.h5", PRETRAINED_DIR=tmp_path)
    with pytest.raises(ConfigError, match=r"^PRETRAINED: received 'other.h5': .*other.h5 does not exist"):
        initial_weights(absent)


def test_weights_that_cannot_be_fetched_are_one_line(monkeypatch) -> None:
    from helpers.architectures import pretrained

    def without_network(**settings: object) -> keras.Model:
        if settings.get("weights") == "imagenet":
            raise Exception("URL fetch failure on https://storage/x.h5: None -- no route\nmore")  # as Keras
        return keras.applications.MobileNetV3Small(**settings)

    monkeypatch.setitem(pretrained.APPLICATIONS, "mobilenet_v3_small", without_network)
    reason = (
        r"^PRETRAINED: received 'imagenet': .*https://storage/x.h5: None -- no route; download that .*name$"
    )
    with pytest.raises(ConfigError, match=reason):
        initial_weights(config_of("mobilenet_v3_small", PRETRAINED="imagenet"))


def test_no_worker_but_that_of_the_start_looks_at_pretrained_weights(tmp_path) -> None:
    config = config_of("resnet_groupnorm", PRETRAINED="absent.h5", PRETRAINED_DIR=tmp_path)
    instance = model_for(config)
    assert keras_file(config, instance.model.get_weights())
