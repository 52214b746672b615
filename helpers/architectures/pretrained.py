"""Bodies of Keras Applications with a head of our own, and the weights that a run may begin with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from helpers.architectures.head import probability_layer
from helpers.settings.errors import ConfigError

APPLICATIONS: dict[str, Callable[..., keras.Model]] = {
    "mobilenet_v3_small": keras.applications.MobileNetV3Small,
    "mobilenet_v3_large": keras.applications.MobileNetV3Large,
    "efficientnet_v2_b0": keras.applications.EfficientNetV2B0,
}
POOL = "pool"
"""The first layer of the head; what stands before it is the body."""


def build_mobilenet_v3_small(input_shape: tuple[int, int, int], num_classes: int = 2) -> keras.Model:
    """Howard et al. 2019, "Searching for MobileNetV3", the small one."""
    return _with_head("mobilenet_v3_small", input_shape, num_classes)


def build_mobilenet_v3_large(input_shape: tuple[int, int, int], num_classes: int = 2) -> keras.Model:
    """Howard et al. 2019, "Searching for MobileNetV3", the large one."""
    return _with_head("mobilenet_v3_large", input_shape, num_classes)


def build_efficientnet_v2_b0(input_shape: tuple[int, int, int], num_classes: int = 2) -> keras.Model:
    """Tan and Le 2021, "EfficientNetV2: Smaller Models and Faster Training", B0."""
    return _with_head("efficientnet_v2_b0", input_shape, num_classes)


def _with_head(name: str, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """The body's layers stand in the model themselves, so that Grad-CAM finds its last convolution.

    Args:
        name: of APPLICATIONS.
        input_shape: height, width, channels (1 or 3); height and width at least 32. Inputs are float32 in
            [0, 1]; the scale that the body was trained with is made inside the model.
        num_classes: at least 2.

    Returns:
        A model that ends in `probability_layer`. Its weights are random.
    """
    image = layers.Input(input_shape, name="image")
    pixels = layers.Rescaling(255.0, dtype="float32", name="to_255")(image)  # float16 is coarse up there
    if input_shape[-1] == 1:
        pixels = layers.Concatenate(dtype="float32", name="gray_to_rgb")([pixels, pixels, pixels])
    body = APPLICATIONS[name](
        input_tensor=pixels, input_shape=(*input_shape[:2], 3), include_top=False, weights=None
    )
    features = layers.GlobalAveragePooling2D(name=POOL)(body.output)
    features = layers.Dropout(0.2, name="dropout")(features)
    output = probability_layer(num_classes)(features)
    return keras.Model(image, output, name=name)


def body_of(model: keras.Model) -> keras.Model:
    """The body of such a model, sharing its layers; input as of the model, output maps (N, h, w, C)."""
    return keras.Model(model.inputs[0], model.get_layer(POOL).input)


def freeze_body(model: keras.Model) -> None:
    """Let training change the head alone, and the body do in training what it does in use."""
    for layer in body_of(model).layers:
        layer.trainable = False  # with it, batch normalization uses its averages and leaves them as they are
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0


def load_weights(model: keras.Model, name: str, folder: Path, architecture: str) -> None:
    """Fill a model, or its body, with weights from elsewhere.

    Args:
        model: as built for `architecture`.
        name: PRETRAINED, not `none`.
        folder: holds the file of that name, unless it is `imagenet`. A `.keras` file is of the whole network;
            an `.h5` file of the body as Keras Applications has it, or of the whole where there is no body.
        architecture: its name in the settings.

    Raises:
        ConfigError: the weights cannot be had, or are another network's.
    """
    if name == "imagenet":
        body_of(model).set_weights(_imagenet(architecture, model.input_shape[1:3]))
        return
    file = folder / name
    if not file.is_file():
        raise ConfigError(f"PRETRAINED: received {name!r}: {file.absolute()} is not there; put it there")
    has_body = architecture in APPLICATIONS and file.suffix == ".h5"
    try:
        (body_of(model) if has_body else model).load_weights(file)
    except (ValueError, KeyError, OSError) as error:
        what = f"the body of {architecture}, without its top" if has_body else architecture
        raise ConfigError(
            f"PRETRAINED: {file} is no weights file of {what}, images {model.input_shape[1:]}: "
            f"{_first(error)}"
        ) from None


def _imagenet(architecture: str, size: tuple[int, int]) -> list[Any]:
    """The body's weights from ImageNet, from Keras' cache or the network.

    Raises:
        ConfigError: saying from where they can be had otherwise.
    """
    try:
        trained = APPLICATIONS[architecture](
            input_shape=(*size, 3), include_top=False, weights="imagenet", include_preprocessing=True
        )
    except Exception as error:  # that is what Keras raises where a download fails
        raise ConfigError(
            f"PRETRAINED: received 'imagenet': the weights cannot be fetched: {_first(error)}; fetch that "
            "file on another machine, put it into PRETRAINED_DIR of the one that starts the run and set "
            "PRETRAINED to its name"
        ) from error
    return list(trained.get_weights())


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
