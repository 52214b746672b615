"""EfficientNet-Lite0: its features are those of PyTorch, and fine-tuning leaves its batch normalization."""

import importlib.metadata
import json
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.architectures import efficientnet_lite0, imagenet_package
from helpers.architectures.building import Recipe, build
from helpers.architectures.pretrained import body_of
from helpers.explaining.grad_cam import grad_cam
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.trainer import train_locally
from helpers.model_instance_helper import initial_weights, model_for
from helpers.settings.errors import ConfigError, how_to_install

REFERENCE = json.loads((Path(__file__).parent / "efficientnet_lite0_reference.json").read_text())
"""Every 8th of the 1280 mean features of `pattern(side)`, by side, as PyTorch computed them.

Made with torch 2.13.0 and the definition of the weights' authors, efficientnet-lite-pytorch 0.1.0 on PyPI:
`model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=…).eval()` and
`model.extract_features((pattern - 127) / 128).mean((2, 3))[0, ::8]`.
"""
try:
    importlib.metadata.distribution(imagenet_package.PACKAGE)
    is_installed = True
except importlib.metadata.PackageNotFoundError:
    is_installed = False
needs_package = pytest.mark.skipif(
    not is_installed, reason=f"PRETRAINED=package: {how_to_install('pretrained')}"
)


def pattern(side: int) -> np.ndarray:
    """Return waves that become finer to the lower right, shifted in each channel: uint8 (side, side, 3)."""
    row, column, channel = np.ogrid[:side, :side, :3]
    return ((row * column // 8 + 2 * row + 50 * channel) % 256).astype(np.uint8)


def config_of(**settings: object) -> Config:
    return Config(**{"ARCHITECTURE": "efficientnet_lite0", "INPUT_SHAPE": (32, 32)} | settings)


@pytest.fixture(scope="module")
def pretrained() -> Weights:
    return initial_weights(config_of(PRETRAINED="package"))


@needs_package
@pytest.mark.parametrize("side", [64, 128])
def test_features_are_those_of_the_reference(side: int, pretrained: Weights) -> None:
    model = build(Recipe.of(config_of(INPUT_SHAPE=(side, side))))
    model.set_weights(pretrained)
    maps = body_of(model)(np.float32(pattern(side)[None] / 255))
    assert maps.shape == (1, side // 32, side // 32, 1280)
    features = np.asarray(maps).mean((0, 1, 2))[::8]
    expected = np.array(REFERENCE[str(side)])
    assert len(expected) == 160
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-5)


@needs_package
def test_a_gray_image_counts_as_three_equal_channels(pretrained: Weights) -> None:
    gray, color = (build(Recipe.of(config_of(INPUT_DIM=channels))) for channels in (1, 3))
    for model in (gray, color):
        model.set_weights(pretrained)
    images = np.float32(pattern(32)[None, ..., :1] / 255)
    np.testing.assert_array_equal(gray(images), color(np.repeat(images, 3, axis=-1)))


@needs_package
def test_the_head_comes_from_the_seed(pretrained: Weights) -> None:
    again, other = (initial_weights(config_of(PRETRAINED="package", SEED=seed)) for seed in (42, 7))
    for a, b in zip(again, pretrained, strict=True):
        np.testing.assert_array_equal(a, b)
    differing = [not np.array_equal(a, b) for a, b in zip(other, pretrained, strict=True)]
    assert [index for index, differs in enumerate(differing) if differs] == [len(other) - 2]  # the kernel


@needs_package
def test_fine_tuning_leaves_batch_normalization_as_it_is(pretrained: Weights) -> None:
    instance = model_for(config_of(PRETRAINED="package"))
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    labels = np.array([[0], [1], [0], [1]], np.float32)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    after = train_locally(instance, pretrained, batches, learning_rate=0.001, seed=[1]).weights
    for name, old, new in zip(instance.names, pretrained, after, strict=True):
        assert np.array_equal(old, new) is ("_norm/" in name)


def test_without_trained_weights_batch_normalization_is_trained() -> None:
    instance = model_for(config_of())
    assert sum(instance.trainable) == len(instance.names) - 2 * 49
    assert sum(model_for(config_of(PRETRAINED="package")).trainable) == len(instance.names) - 4 * 49


@needs_package
def test_a_heatmap_shows_the_maps_that_are_averaged(pretrained: Weights) -> None:
    """By hand: map k after ReLU6 has the importance w_k / (h * w); images of 64 pixels have 2 x 2 of them."""
    model = build(Recipe.of(config_of(INPUT_SHAPE=(64, 64), CLASS_NAMES=("a", "b", "c"))), seed=1)
    model.set_weights([*pretrained[:-2], *model.get_weights()[-2:]])
    images = np.float32(pattern(64)[None] / 255)
    maps = np.asarray(body_of(model)(images))[0]
    assert maps.min() == 0  # after the activation
    for label in range(3):
        heat = np.maximum(maps @ model.get_layer("probability").kernel.numpy()[:, label], 0)
        if heat.max() > 0:
            corners = grad_cam(model, images, np.array([label]))[0][[0, 0, -1, -1], [0, -1, 0, -1]]
            np.testing.assert_allclose(corners, heat.reshape(-1) / heat.max(), atol=1e-4)


def test_a_missing_package_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr(imagenet_package, "PACKAGE", "no-such-package-of-weights")
    with pytest.raises(
        ConfigError,
        match=r"^PRETRAINED: .*not installed.*`python run.py setup pretrained` installs [a-z-]+\.txt$",
    ):
        efficientnet_lite0.packaged_weights()


@needs_package
@pytest.mark.parametrize(
    ("module", "name", "value"),
    [(efficientnet_lite0, "SHA256", "0" * 64), (imagenet_package, "FILE", "none.pth")],
)
def test_a_damaged_package_is_one_line(module: ModuleType, name: str, value: str, monkeypatch) -> None:
    monkeypatch.setattr(module, name, value)
    with pytest.raises(
        ConfigError, match=r"^PRETRAINED: .* is damaged: .*install it again: python -m pip install"
    ):
        efficientnet_lite0.packaged_weights()


def test_it_opens_with_keras_alone(tmp_path) -> None:
    model = build(Recipe.of(config_of()))
    model.save(tmp_path / "model.keras")
    opened = keras.models.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    np.testing.assert_array_equal(opened(images), model(images))
