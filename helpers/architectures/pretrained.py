"""Networks with a body that has ImageNet weights and our head, and initial weights from elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from helpers.architectures import ARCHITECTURES, OWN
from helpers.architectures.efficientnet_lite0 import lite0_body, packaged_weights
from helpers.architectures.head import probability_layer
from helpers.settings.errors import ConfigError

APPLICATIONS: dict[str, Callable[..., keras.Model]] = {
    "mobilenet_v3_small": keras.applications.MobileNetV3Small,
    "mobilenet_v3_large": keras.applications.MobileNetV3Large,
    "efficientnet_v2_b0": keras.applications.EfficientNetV2B0,
}
POOL = "pool"
"""First layer of the head; all layers before it are the body."""


def build_efficientnet_lite0(input_shape: tuple[int, int, int], num_classes: int = 2) -> keras.Model:
    """Build EfficientNet-Lite0 (`lite0_body`)."""
    # float32, as bfloat16 is too coarse for 256 levels
    scale = layers.Rescaling(255 / 128, offset=-127 / 128, dtype="float32", name="to_one")
    return _with_head("efficientnet_lite0", lite0_body, scale, input_shape, num_classes)


def build_mobilenet_v3_small(input_shape: tuple[int, int, int], num_classes: int = 2) -> keras.Model:
    """Build MobileNetV3-Small (Howard et al. 2019, "Searching for MobileNetV3")."""
    return _with_application("mobilenet_v3_small", input_shape, num_classes)


def build_mobilenet_v3_large(input_shape: tuple[int, int, int], num_classes: int = 2) -> keras.Model:
    """Build MobileNetV3-Large (Howard et al. 2019, "Searching for MobileNetV3")."""
    return _with_application("mobilenet_v3_large", input_shape, num_classes)


def build_efficientnet_v2_b0(input_shape: tuple[int, int, int], num_classes: int = 2) -> keras.Model:
    """Build EfficientNetV2-B0 (Tan and Le 2021, "EfficientNetV2: Smaller Models and Faster Training")."""
    return _with_application("efficientnet_v2_b0", input_shape, num_classes)


def _with_application(name: str, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Build a network with a body of APPLICATIONS."""

    def body(pixels: Any) -> Any:
        shape = (*input_shape[:2], 3)
        return APPLICATIONS[name](
            input_tensor=pixels, input_shape=shape, include_top=False, weights=None
        ).output

    # float32, as float16 is too coarse for values up to 255
    scale = layers.Rescaling(255.0, dtype="float32", name="to_255")
    return _with_head(name, body, scale, input_shape, num_classes)


def _with_head(
    name: str,
    body: Callable[[Any], Any],
    scale: layers.Layer,
    input_shape: tuple[int, int, int],
    num_classes: int,
) -> keras.Model:
    """Build a network; the body's layers are in the model itself, so that Grad-CAM finds the last one.

    Args:
        name: of the network.
        body: maps three channels to feature maps.
        scale: maps inputs, float32 in [0, 1], to what the body was trained with.
        input_shape: height, width, channels (1 or 3); height and width at least 32.
        num_classes: at least 2.

    Returns:
        A model that ends in `probability_layer`. Its weights are random.
    """
    image = layers.Input(input_shape, name="image")
    pixels = scale(image)
    if input_shape[-1] == 1:
        pixels = layers.Concatenate(dtype="float32", name="gray_to_rgb")([pixels, pixels, pixels])
    features = layers.GlobalAveragePooling2D(name=POOL)(body(pixels))
    features = layers.Dropout(0.2, name="dropout")(features)
    output = probability_layer(num_classes)(features)
    return keras.Model(image, output, name=name)


def body_of(model: keras.Model) -> keras.Model:
    """Return the body of such a model, sharing its layers; it outputs feature maps (N, h, w, C)."""
    return keras.Model(model.inputs[0], model.get_layer(POOL).input)


def freeze_body(model: keras.Model) -> None:
    """Freeze the body: only the head trains, and the body works in training as in inference."""
    for layer in body_of(model).layers:
        layer.trainable = False  # batch normalization then uses its averages and keeps them
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0


def load_weights(model: keras.Model, name: str, folder: Path, architecture: str) -> None:
    """Load weights from elsewhere into a model or its body.

    Args:
        model: as built for `architecture`.
        name: PRETRAINED, not `none`.
        folder: contains that file, unless the name is `imagenet` or `package`. A `.keras` file holds the
            whole network; an `.h5` file the body as in Keras Applications, or the whole network if it has no
            body.
        architecture: its name in the settings.

    Raises:
        ConfigError: the weights cannot be read or downloaded, or are those of another network.
    """
    if name == "package":
        body_of(model).set_weights(packaged_weights())
        return
    if name == "imagenet":
        body_of(model).set_weights(_imagenet(architecture, model.input_shape[1:3]))
        return
    file = folder / name
    if not file.is_file():
        raise ConfigError(f"PRETRAINED: received {name!r}: {file.absolute()} does not exist; put it there")
    is_body = ARCHITECTURES.get(architecture, OWN).has_body and file.suffix == ".h5"
    try:
        (body_of(model) if is_body else model).load_weights(file)
    except (ValueError, KeyError, OSError) as error:
        what = f"the body of {architecture}, without its top" if is_body else architecture
        raise ConfigError(
            f"PRETRAINED: {file} does not hold weights of {what} for images {model.input_shape[1:]}: "
            f"{_first(error)}"
        ) from None


def _imagenet(architecture: str, size: tuple[int, int]) -> list[Any]:
    """Return the body's ImageNet weights, from Keras' cache or the internet.

    Raises:
        ConfigError: names the address and another way to provide them.
    """
    try:
        trained = APPLICATIONS[architecture](
            input_shape=(*size, 3), include_top=False, weights="imagenet", include_preprocessing=True
        )
    except Exception as error:  # what Keras raises if a download fails
        raise ConfigError(
            f"PRETRAINED: received 'imagenet': the weights cannot be downloaded: {_first(error)}; download "
            "that file on another machine, put it into PRETRAINED_DIR of the one that starts the run and set "
            "PRETRAINED to its name"
        ) from error
    return list(trained.get_weights())


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
