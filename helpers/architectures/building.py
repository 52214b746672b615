"""Building of an uncompiled network, registered or custom, from the settings."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import keras
from keras.src.utils.naming import reset_uids  # not public in Keras; see `_call`

from helpers.architectures import ARCHITECTURES
from helpers.architectures.custom_model import (
    Builder,
    allowed_function,
    check_model,
    check_takes_classes,
    imported,
)
from helpers.architectures.pretrained import freeze_body
from helpers.global_config import Config
from helpers.settings.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """All that determines a network except its weights.

    Attributes:
        architecture: ARCHITECTURE; a custom function is allowed on this machine.
        input_shape: height, width, channels.
        num_classes: at least 2.
        batch_norm_momentum, train_body, precision: the settings of these names.
        is_fast: whether TRAIN_STEP is `fast`.
        train_batch_norm: whether batch normalization is trained; otherwise it works as in inference.
    """

    architecture: str
    input_shape: tuple[int, int, int]
    num_classes: int
    batch_norm_momentum: float
    is_fast: bool
    train_body: bool
    precision: str
    train_batch_norm: bool

    @classmethod
    def of(cls, config: Config) -> Self:
        """Read the recipe from the settings.

        Raises:
            ConfigError: the images are too small, or the function is not allowed here.
        """
        config.check_input_shape()
        if config.ARCHITECTURE not in ARCHITECTURES:
            allowed_function(config.ARCHITECTURE, config.OWN_ARCHITECTURES)
        return cls(
            config.ARCHITECTURE,
            (*config.INPUT_SHAPE, config.INPUT_DIM),
            len(config.class_names),
            config.BATCH_NORM_MOMENTUM,
            config.TRAIN_STEP == "fast",
            config.TRAIN_BODY,
            config.PRECISION,
            config.trains_batch_norm,
        )


def build(recipe: Recipe, seed: int | None = None) -> keras.Model:
    """Build a network; the names of its weights depend only on the recipe.

    Args:
        recipe: what to build.
        seed: determines the weights; None: they are arbitrary.

    Raises:
        ConfigError: a custom function cannot be used.
    """
    architecture = ARCHITECTURES.get(recipe.architecture)
    with _precision(recipe.precision):
        if architecture is None:
            model = _build_custom(recipe, seed)
        else:
            options = {"num_classes": recipe.num_classes} | ({"fast": True} if recipe.is_fast else {})
            model = _call(imported(architecture.builder), recipe, seed, options)
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = recipe.batch_norm_momentum
            layer.trainable = layer.trainable and recipe.train_batch_norm
    if not recipe.train_body:
        freeze_body(model)
    return model


def _build_custom(recipe: Recipe, seed: int | None) -> keras.Model:
    """Call a custom function twice: it must return a new model with the same names."""
    function = imported(recipe.architecture)
    options = {}
    if recipe.num_classes > 2:  # with two classes, the argument is optional
        check_takes_classes(function, recipe.architecture, recipe.num_classes)
        options = {"num_classes": recipe.num_classes}
    try:
        first, model = (_call(function, recipe, seed, options) for _ in range(2))
    except Exception as error:  # a user's function may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"ARCHITECTURE: {recipe.architecture} fails for images {recipe.input_shape}: {reason}"
        ) from error
    for each in (first, model):
        check_model(each, recipe.architecture, recipe.input_shape, recipe.num_classes)
    are_shared = any(a is b for a, b in zip(first.weights, model.weights, strict=False))
    if are_shared or names_of(model) != names_of(first):
        raise ConfigError(
            f"ARCHITECTURE: {recipe.architecture} must return a new model with the same names at every "
            "call; create all layers inside the function"
        )
    return model


def _call(function: Builder, recipe: Recipe, seed: int | None, options: dict[str, int]) -> keras.Model:
    """Call a function that builds a network.

    Keras numbers unnamed layers over the life of a process. The numbers are reset here, as the names of
    weights must be the same in every process and in every model of it.
    """
    reset_uids()
    if seed is not None:  # only now, as importing a module may draw numbers too
        keras.utils.set_random_seed(seed)
    return function(recipe.input_shape, **options)


def names_of(model: keras.Model) -> list[str]:
    """Return the names of the weights, in `get_weights()` order."""
    return [variable.path for variable in model.weights]


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield all layers, including those of nested models."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    """Set the precision of new layers; restore Keras' global default afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
